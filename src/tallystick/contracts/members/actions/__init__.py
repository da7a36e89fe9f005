"""What may happen to members, by what it happens to: organisations, keys, grants, keepers.

Invariant: each action is READ, CHECK, WRITE in that order; the first failing check is consensus.
See docs/spec/contracts/members.md.
"""
