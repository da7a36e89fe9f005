"""`tally genesis`, `tally found`, `tally status`: how a network begins, and where it stands.

Invariant: a founding file and a trust policy are never written into one folder: who shows a receipt
must not be taken for who vouches for it. See docs/spec/genesis.md.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail
from tallystick.protocol.canonical import Record, encode, narrow

PLAN_BYTES_MAX = 256 * 1024
STATUS_SECONDS = 86_400
"""How old a status may be where the plan does not say."""
REFUSED_SHOWN_MAX = 5
EXAMPLE = """\
# A plan for `tally genesis`. Keys are key files, relative to this file, or 64 hex digits.
name = "bills.example.org"        # short, for people; carries no trust
region = 33                       # first two digits of every bill code
utc_offset_hours = 8              # days and years are counted at this offset
log_keys = ["keys/log.json"]      # sign the log's checkpoints

[trust]
threshold = 1                     # how many keepers must have co-signed
required = ["finance"]            # organisations that must be among them
status_max_age_seconds = 86400    # how old a status may be

[[organisations]]
org = "finance"
title = "Provincial Department of Finance"
root_key = "keys/finance-root.json"
keys = [{ key = "keys/finance.json", actions = ["*"] }]
grants = [{ actions = ["*"], depth = 8 }]

[[organisations]]
org = "hospital-01"
title = "First Hospital"
root_key = "keys/hospital-01-root.json"
keys = [{ key = "keys/hospital-01.json", actions = ["bills.*"] }]
# What an issuer needs, and no more: "bills.*" would let it claim by law, freeze and erase, too.
grants = [{ actions = [
    "bills.issue", "bills.reverse", "bills.replace", "bills.withhold", "bills.release",
    "bills.reversal_request", "bills.cancel_reversal", "bills.give_back", "bills.void_numbers",
    "bills.exchange", "bills.confirm_printed", "bills.cancel_exchange", "bills.recover",
    "bills.reprint", "bills.declare_lost", "bills.rebind", "bills.plan", "bills.answer",
    "bills.account_block", "bills.account_period", "bills.order_erasure", "bills.erased",
] }]

[[keepers]]
name = "k/finance"
org = "finance"
key = "keys/keeper-finance.json"
"""


class PlanTrust(Record):
    """Whom readers of the first policy trust."""

    threshold: int | None = None
    required: list[str] = []
    status_max_age_seconds: int | None = None


class PlanOrg(Record):
    """A founder; keys and grants are those of the founding file."""

    org: str
    title: str = ""
    root_key: str
    keys: list[dict[str, Any]] = []
    grants: list[Any] = []


class PlanKeeper(Record):
    """A keeper of the first day."""

    name: str
    org: str
    key: str


class Plan(Record):
    """What people write; what it says of values is checked as the founding file is made."""

    name: str
    region: int
    utc_offset_hours: int | float = 0
    utc_offset_seconds: int | None = None
    founded_at: str | None = None
    log_keys: list[str]
    trust: PlanTrust | None = None
    organisations: list[PlanOrg]
    keepers: list[PlanKeeper] = []


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(genesis)
    app.command()(found)
    app.command()(status)


def genesis(
    plan: Annotated[
        Path | None, typer.Argument(help="TOML file that names organisations, keys and grants.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New founding file.")] = Path(
        "genesis.json"
    ),
    trust: Annotated[
        Path | None,
        typer.Option("--trust", help="New trust policy, in another folder than the founding file."),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a plan to start from.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a founding file and a trust policy from a plan. Prints the network's id."""
    from tallystick.cli.inputs import read_file
    from tallystick.protocol.genesis import read_genesis
    from tallystick.protocol.trust import read_trust

    if example:
        print(EXAMPLE, end="")
        return
    if plan is None:
        fail(
            *("cli.no_plan", "缺少创始方案文件", "which plan?"),
            todo=("先运行 tally genesis --example > plan.toml", "see tally genesis --example"),
        )
    if trust is not None and trust.resolve().parent == output.resolve().parent:
        fail(
            *("cli.same_folder", "信任策略不得与创始文件同目录"),
            "the trust policy must lie in another folder than the founding file",
            todo=("换一个目录", "readers get it from whom they trust, not with the ledger"),
        )
    stated = _read_plan(read_file(plan, PLAN_BYTES_MAX))
    record = _genesis_of(stated, plan.parent)
    data = encode(record)
    _, network = read_genesis(data)
    policy = None if trust is None else encode(_policy_of(stated, record, network))
    if policy is not None:
        read_trust(policy)
    write_new(output, data)
    if trust is not None and policy is not None:
        write_new(trust, policy)
    _print_genesis(record, network, output, trust, as_json)


def found(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder of the ledger.")],
    genesis_file: Annotated[Path, typer.Option("--genesis", help="Founding file.")],
    key: Annotated[Path, typer.Option("--key", "-k", help="Key file of the log.")],
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Found a ledger in a new folder. Its block 0 holds what the founding file says."""
    from tallystick.cli.inputs import load_signer, read_file
    from tallystick.node import Node
    from tallystick.protocol.genesis import GENESIS_BYTES_MAX, read_genesis

    data = read_file(genesis_file, GENESIS_BYTES_MAX)
    signer = load_signer(key, passphrase_file)
    if signer.public_key not in read_genesis(data)[0].log_keys:
        fail(
            *("cli.not_log_key", "不是创始文件中的日志密钥"),
            "this is none of the log keys in the founding file",
            detail=str(key),
            path="log_keys",
        )
    check_may_found(folder)
    with Node.found(folder, data, signer) as node:
        origin, network = node.ledger.origin, node.network
    if as_json:
        out.json({"network": network, "origin": origin, "dir": str(folder)})
        return
    out.pairs("ledger founded", {"folder": folder, "network": network.hex(), "origin": origin})
    unlock = f" --passphrase-file {quote(str(passphrase_file))}" if passphrase_file else ""
    named = f"{quote(str(folder))} --log-key {quote(str(key))}"
    out.line(f"Next: {out.program()} node {named}{unlock}")


def check_may_found(folder: Path) -> None:
    """Fail unless a new ledger may lie here: with keys, and what a founding left that was cut off.

    Of a ledger that is there whoever founds says so.
    """
    from tallystick.cli.desk import LOG_KEY
    from tallystick.durable import LOCK
    from tallystick.ledger.ledger import GENESIS_FILE
    from tallystick.ledger.sqlite import BESIDE, FILE, NEW

    if not folder.is_dir() or (folder / FILE).exists():
        return
    ours = {LOCK, GENESIS_FILE, f".{GENESIS_FILE}.new", *(NEW + ending for ending in BESIDE)}
    keys = str(LOG_KEY.parent)
    others = sorted(
        each.name
        for each in folder.iterdir()
        if each.name not in ours and not (each.name == keys and each.is_dir())
    )
    if others:
        fail(
            *("cli.not_empty", "该目录中已有其他文件，不能在此创建账本"),
            "this folder holds other files: a ledger is founded in a folder of its own",
            todo=("指定新目录或空目录", "name a new folder or an empty one; keys/ may lie in it"),
            detail=f"{folder}: {', '.join(others[:5])}{' …' if len(others) > 5 else ''}",
        )


def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The ledger's folder.")] = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Where a ledger stands, also while its node runs. Head, size, roots, keepers' words."""
    from tallystick.cli.reading import published, reading
    from tallystick.protocol.genesis import log_origin
    from tallystick.protocol.values import format_instant

    with reading(folder) as view:
        head, genesis_ = view.head, view.genesis
        network = view.network
        signed = published(folder, view)
    shown: dict[str, Any] = {
        "network": network,
        "origin": log_origin(genesis_.name, network),
        "block": head.block,
        "at": format_instant(head.at),
        "size": head.size,
        "root": head.root,
        "state": head.state,
        "bytes": sum(path.stat().st_size for path in folder.glob("ledger.db*")),
        "keepers": [
            {"name": name, "size": size, "at": None if at is None else format_instant(at)}
            for name, size, at in signed
        ],
        "refused_in_box": refused_in_box(folder),
    }
    if as_json:
        out.json(shown)
        return
    keepers, refused = shown.pop("keepers"), shown.pop("refused_in_box")
    out.pairs(str(folder), {name: _plain(value) for name, value in shown.items()})
    out.table(
        "who signed last",
        ("name", "size#", "behind#", "at"),
        [(k["name"], k["size"], head.size - k["size"], k["at"]) for k in keepers],
    )
    if refused["count"]:
        out.table(
            f"{refused['count']:,} refused transactions lie in the box, the newest:",
            ("tx_id", "at", "说明 / why"),
            [(one["tx_id"][:16], one["at"], _why(one["reason"])) for one in refused["newest"]],
        )
        out.say("They are not on the ledger and stay until somebody removes them.")


def refused_in_box(folder: Path) -> dict[str, Any]:
    """How many transactions were left in the box and refused, and the newest with their reasons."""
    from heapq import nlargest

    from tallystick.node import BOX, REFUSED
    from tallystick.protocol.values import format_instant

    found = [(path.lstat().st_mtime, path.name) for path in (folder / BOX).glob(f"[!.]*{REFUSED}")]
    newest = []
    for at, name in nlargest(REFUSED_SHOWN_MAX, found):
        tx_id, _, reason = name.removesuffix(REFUSED).partition(".")
        newest.append({"tx_id": tx_id, "reason": reason, "at": format_instant(int(at))})
    return {"count": len(found), "newest": newest}


def _why(reason: str) -> str:
    from tallystick.cli.reasons import both

    if reason:
        return f"{reason}: {both(reason)}"
    return "格式或签名有误 / not well formed, or its signature fails"


def _print_genesis(
    record: Any, network: bytes, output: Path, trust: Path | None, as_json: bool
) -> None:
    from tallystick.protocol.genesis import log_origin

    origin = log_origin(record.name, network)
    if as_json:
        out.json({"network": network, "origin": origin, "genesis": str(output)})
        return
    out.pairs(
        "network founded on paper",
        {
            "network": network.hex(),
            "log's origin": origin,
            "founding file": output,
            "trust policy": trust,
            "organisations": len(record.organisations),
            "keepers": len(record.keepers),
        },
    )
    if len(record.keepers) == 0:
        out.warn("No keeper: receipts rest on the operator's word alone.")


def write_new(path: Path, data: bytes, *, private: bool = False) -> None:
    """A new file, never over another; folders are made. Private: its owner alone reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o600 if private else 0o666

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    with open(path, "xb", opener=opener) as file:
        file.write(data)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:,}" if isinstance(value, int) else value


def _read_plan(data: bytes) -> Plan:
    try:
        stated = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        fail(
            *("cli.not_toml", "创始方案不是有效的 TOML", "the plan is not TOML"),
            detail=str(error),
            todo=("对照 tally genesis --example", "compare it with tally genesis --example"),
        )
    return narrow(stated, Plan)


def _genesis_of(plan: Plan, beside: Path) -> Any:
    """The founding file that a plan describes; what the plan names wrongly is refused by field."""
    from tallystick.cli.inputs import parse_key
    from tallystick.engines.clock import Clock
    from tallystick.protocol.genesis import Genesis
    from tallystick.protocol.values import format_instant

    def organisation(one: PlanOrg) -> dict[str, Any]:
        return {
            "org": one.org,
            "root_key": parse_key(one.root_key, beside),
            "keys": [{**key, "key": parse_key(str(key.get("key")), beside)} for key in one.keys],
            "grants": one.grants,
        }

    offset = plan.utc_offset_seconds
    stated = {
        "format": "tallystick/genesis/v1",
        "name": plan.name,
        "region": plan.region,
        "utc_offset_seconds": int(plan.utc_offset_hours * 3600) if offset is None else offset,
        "founded_at": plan.founded_at or format_instant(Clock().now()),
        "nonce": secrets.token_bytes(16),
        "log_keys": [parse_key(each, beside) for each in plan.log_keys],
        "organisations": [organisation(one) for one in plan.organisations],
        "keepers": [
            {"name": one.name, "org": one.org, "key": parse_key(one.key, beside)}
            for one in plan.keepers
        ],
    }
    return narrow(stated, Genesis)


def _policy_of(plan: Plan, record: Any, network: bytes) -> Any:
    trust = plan.trust or PlanTrust()
    threshold = len(record.keepers) if trust.threshold is None else trust.threshold
    return make_policy(
        record,
        network,
        threshold=threshold,
        required=trust.required,
        status_max_age_seconds=trust.status_max_age_seconds or STATUS_SECONDS,
        names={one.org: one.title for one in plan.organisations if one.title},
    )


def make_policy(
    record: Any,
    network: bytes,
    *,
    threshold: int,
    required: list[str],
    status_max_age_seconds: int,
    names: dict[str, str],
) -> Any:
    """The first trust policy of a network: all keepers of its founding file."""
    from tallystick.protocol.genesis import log_origin
    from tallystick.protocol.trust import TrustPolicy

    stated = {
        "format": "tallystick/trust/v1",
        "version": 1,
        "network": network,
        "origin": log_origin(record.name, network),
        "log_keys": list(record.log_keys),
        "keepers": [{"name": one.name, "org": one.org, "key": one.key} for one in record.keepers],
        "threshold": threshold,
        "required": required,
        "status_max_age_seconds": status_max_age_seconds,
        "names": names,
    }
    return narrow(stated, TrustPolicy)
