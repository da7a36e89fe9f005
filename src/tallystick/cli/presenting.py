"""`tally present` and `tally bills slip`: files for others to check.

Invariant: nothing leaves a vault here but the fields that were named and that the right covers, and
the vault's log says so first.
See docs/spec/presentation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail

if TYPE_CHECKING:
    from tallystick.apps.bills.presenting import Basis, Proofs
    from tallystick.ledger.view import View
    from tallystick.vault import Vault

BASIS_BYTES_MAX = 64 * 1024

T = TypeVar("T")

Keepers = Annotated[
    int | None,
    typer.Option("--keepers", help="How many must have co-signed.", show_default="all live ones"),
]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait for them.")]
NewFile = Annotated[Path, typer.Option("--output", "-o", "--out", help="Write to this new file.")]


def present(
    bill: Annotated[str, typer.Option("--bill", metavar="CODE:NUMBER", help="Which bill.")],
    audience: Annotated[str, typer.Option("--to", metavar="ORG", help="Who may read it.")],
    purpose: Annotated[str, typer.Option("--purpose", help="For what: one word.")],
    fields: Annotated[
        list[str],
        typer.Option("--fields", help="items/0, items/*, payer/name; may stand many times."),
    ],
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    output: NewFile,
    by: Annotated[
        Path | None,
        typer.Option("--by", metavar="FILE", help="The holder's consent or mandate, with fields."),
    ] = None,
    statute: Annotated[
        bool, typer.Option("--statute", help="By the reader's own grant bills.statute.")
    ] = False,
    folder: options.LedgerDir = Path(),
    keepers: Keepers = None,
    wait: Wait = 10.0,
    log_key: options.LogKey = None,
    passphrase_file: options.Passphrase = None,
    vault_passphrase_file: options.VaultPassphrase = None,
) -> None:
    """Show fields of a bill to one reader for one purpose.

    Out of the vault that has the body, by the right that --by or --statute names.

    The reader checks the file with `tally verify FILE --for ORG --purpose WORD`.
    """
    from tallystick.apps.bills.presenting import present_kept, prove_right
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.engines.clock import Clock

    if (by is None) == (not statute):
        fail(
            *(
                "cli.which_right",
                "请用 --by 或 --statute 指明依据",
                "by what right? --by or --statute",
            ),
            todo=("二者取其一", "name one of the two"),
        )
    code, number = parse_bill(bill)

    def prove(view: View, note: bytes) -> Proofs:
        basis = _by_statute(view, audience, code) if by is None else _read(by)
        return prove_right(view, note, format_bill_id(code, number), basis, audience=audience)

    with _vault(vault, vault_key, vault_passphrase_file, (code, number)) as opened:
        proofs = proven(folder, prove, keepers, wait, log_key, passphrase_file)
        told: dict[str, Any] = {"audience": audience, "purpose": purpose, "at": int(Clock().now())}
        data = present_kept(opened, proofs, fields, **told)
    write_new(output, data, private=True)
    run = f"tally verify {output} --for {audience} --purpose {purpose}"
    out.say(f"{output}: {len(data):,} bytes, readable by you alone; its reader runs: {run}")


def slip(
    bill: Annotated[str, typer.Argument(help="CODE:NUMBER, like 33060126:0000000001.")],
    folder: options.LedgerDir = Path(),
    output: options.Output = None,
    keepers: Keepers = None,
    wait: Wait = 10.0,
    log_key: options.LogKey = None,
    passphrase_file: options.Passphrase = None,
) -> None:
    """Write a bill's split slip 分割单: what is left of it.

    And what was reimbursed so far, without a line or a name: for whoever comes next.
    """
    from tallystick.apps.bills.slip import make_slip
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id

    bill_id = format_bill_id(*parse_bill(bill))
    data = proven(
        folder,
        lambda view, note: make_slip(view, note, bill_id),
        keepers,
        wait,
        log_key,
        passphrase_file,
    )
    if output is None:
        print(data.decode())
    else:
        write_new(output, data)
        out.say(f"{output}: {len(data):,} bytes; check it with {out.program()} verify {output}")


def add_to(app: typer.Typer) -> None:
    """Put `present` into the tree."""
    app.command()(present)


def add_slip_to(app: typer.Typer) -> None:
    """Put `slip` among the commands about bills."""
    app.command()(slip)


def proven(
    folder: Path,
    prove: Callable[[View, bytes], T],
    keepers: int | None,
    wait: float,
    log_key: Path | None,
    passphrase_file: Path | None,
) -> T:
    """What `prove` makes of the ledger's head and its note."""
    from tallystick.cli.desk import LOG_KEY
    from tallystick.cli.inputs import load_signer
    from tallystick.cli.reading import make_proofs

    key = log_key or (folder / LOG_KEY if (folder / LOG_KEY).exists() else None)
    signer = None if key is None else load_signer(key, passphrase_file)
    return make_proofs(folder, prove, keepers_min=keepers, wait_seconds=wait, log_signer=signer)


@contextmanager
def _vault(
    folder: Path, key: Path, passphrase_file: Path | None, bill: tuple[int, int]
) -> Iterator[Vault]:
    """The vault that has the body of this bill."""
    from tallystick.cli.inputs import load_vault
    from tallystick.vault import Vault

    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    with Vault.open(folder, load_vault(key, passphrase_file).secret) as opened:
        standing = opened.find(*bill)
        if standing is None or standing.state == "erased":
            fail(
                *("cli.no_body", "此库中没有该票据的内容", "this vault has no body of that bill"),
                detail="{}:{:010d} {}".format(*bill, "erased" if standing else "").strip(),
            )
        yield opened


def _read(by: Path) -> Basis:
    from tallystick.apps.bills.presenting import read_basis
    from tallystick.cli.inputs import read_file

    return read_basis(read_file(by, BASIS_BYTES_MAX).removesuffix(b"\n"))


def _by_statute(view: View, audience: str, code: int) -> Basis:
    from tallystick.apps.bills.presenting import Basis
    from tallystick.contracts.bills.actions.claiming import STATUTE_ACTION
    from tallystick.contracts.kit.grants import find_grant

    grant = find_grant(view, audience, STATUTE_ACTION, view.head.at, code)
    if grant is None:
        fail(
            *("cli.no_statute", "该单位没有法定查阅授权", "this reader has no grant by statute"),
            detail=f"{audience}, {STATUTE_ACTION}, {code}",
            todo=("由归属人授权后用 --by", "ask the holder for a consent, and give it with --by"),
        )
    return Basis(statute=grant.grant_id)
