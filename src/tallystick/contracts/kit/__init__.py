"""The kit: primitives that carry every domain (Entry, Unit, Holding, Grant).

Invariant: what two domains share lives here; domains never import each other.
See docs/spec/contracts/kit.md.
"""
