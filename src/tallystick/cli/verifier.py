"""`tally verifier-page`: the verifier for the browser, as one file.

Invariant: the file is the one that a server gives at ``/verify``. See docs/spec/verifier.md.
"""

from __future__ import annotations

import sys

import typer

from tallystick.cli import options


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the tree."""
    app.command("verifier-page")(verifier_page)


def verifier_page(output: options.Output = None) -> None:
    """Print a page that verifies in a browser.

    One HTML file, for use offline: `tally verifier-page > verify.html`. It makes no request and
    takes the steps of `tally verify`.
    """
    from tallystick.cli.founding import write_new
    from tallystick.node import DOMAINS
    from tallystick.web.verifier_page import verifier_page as page_of

    texts = {reason: text for domain in DOMAINS for reason, text in domain.texts.items()}
    data = page_of(texts).encode()
    if output is None:
        sys.stdout.buffer.write(data)
    else:
        write_new(output, data)
