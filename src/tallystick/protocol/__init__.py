"""The bytes that a second implementation must reproduce. No I/O, no clock, no chance (docs/spec/)."""
