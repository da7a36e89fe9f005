"""What the ledger stores about bills, one module for each side of a bill's life.

Invariant: nothing here is personal or free text. See docs/spec/contracts/bills.md.
"""
