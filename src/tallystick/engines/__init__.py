"""Who decides the order: engines fulfil `ledger.engine.Engine`. See docs/architecture.md."""
