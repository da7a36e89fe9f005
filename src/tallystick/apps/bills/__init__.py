"""Bills, as each member handles them: the issuer's office, finance's archive, reference data.

Invariant: nothing here decides whether a bill is valid; that is `contracts.bills`.
See docs/guides/office.md.
"""
