"""Starting a process that says when it is ready, and killing it without warning.

Invariant: a victim that ended by itself or said anything on stderr fails the test.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def start(program: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process that has said ``ready``."""
    process = subprocess.Popen(
        [sys.executable, str(program), *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    if ready != "ready\n":
        raise AssertionError(process.communicate()[1])
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL: it gets no chance to tidy up."""
    if process.poll() is not None:
        raise AssertionError(f"it ended by itself: {process.communicate()[1]}")
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not errors, errors
