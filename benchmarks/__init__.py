"""How fast Tallystick is on this machine: figures, each beside a reference taken in the same run.

Invariant: nothing here asserts; a figure is of bills that were signed, checked, committed and
durable. See docs/benchmarks.md.
"""
