"""Tallystick: a ledger for public records, kept by organisations that need not trust each other."""
