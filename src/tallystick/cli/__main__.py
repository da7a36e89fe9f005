"""``python -m tallystick.cli``: the same as `tally`, for whoever starts one from within.

Invariant: there is one entry. See docs/cli.md.
"""

from tallystick.cli.app import main

main()
