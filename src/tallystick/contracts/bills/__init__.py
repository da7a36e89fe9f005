"""Fiscal electronic bills: numbers, types, issue and reversal, and what a body must satisfy.

Invariant: a number is used once, and what a record commits to never changes.
See docs/spec/contracts/bills.md.
"""
