"""What each action of this domain is told, one module for each side of a bill's life.

Invariant: no field can hold a name, a text or anything else that is about a person.
See docs/spec/contracts/bills.md.
"""
