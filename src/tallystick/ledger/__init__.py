"""The ledger: execute, state, log, storage, receipts, and the interface that engines fulfil.

Invariant: it knows no domain, no engine, no network and no clock. See docs/architecture.md.
"""
