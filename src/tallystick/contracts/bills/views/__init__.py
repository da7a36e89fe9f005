"""What may be asked about bills, one module for each side of a bill's life.

Invariant: a view reads one moment of the state and writes nothing.
See docs/spec/contracts/bills.md.
"""
