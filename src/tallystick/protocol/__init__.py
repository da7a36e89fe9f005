"""The bytes that a second implementation must reproduce. No I/O, clock or chance (docs/spec/)."""
