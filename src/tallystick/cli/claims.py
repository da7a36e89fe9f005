"""`tally claims`: a reimburser's side, as one group of commands.

Invariant: every command here is in the book's hands or only reads. See docs/guides/reimburser.md.
"""

from __future__ import annotations

import typer

from tallystick.cli import claim_plans, claiming, claims_view

app = typer.Typer(no_args_is_help=True, help="Reimbursement: lock bills, answer claims, claw back.")
for group in (claims_view, claiming, claim_plans):
    group.add_to(app)
