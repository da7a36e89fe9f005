"""The command line: each command parses, calls what does the work, and prints.

Invariant: nothing is decided here that another caller of the same functions would miss, and no
unexpected error reaches the terminal as a traceback. See docs/cli.md.
"""

from __future__ import annotations

from tallystick.cli.app import main

__all__ = ["main"]
