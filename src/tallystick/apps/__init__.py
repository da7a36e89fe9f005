"""What each member does on its own, one folder a domain: no authority, no consensus.

Invariant: an app proposes transactions and reads views; what members must agree on is a contract.
See docs/architecture.md.
"""
