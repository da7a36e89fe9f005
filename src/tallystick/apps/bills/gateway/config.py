"""The settings of a gateway: one TOML file in its folder.

Invariant: a name that is not known is refused; nothing is guessed. See docs/guides/gateway.md.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from tallystick.contracts.bills.body import Issuer, Text
from tallystick.contracts.bills.records.bills import (
    BillCode,
    BillNumber,
    BillTypeId,
    CatalogueCode,
    Level,
)
from tallystick.protocol.canonical import Meta, Record, builtins, narrow
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import Currency, OrgId, Word

FILE = "gateway.toml"
File = Annotated[str, Meta(max_length=1_000)]
"""Relative to the gateway's folder."""


class Ledger(Record):
    """Where the ledger is, and when its word is good enough."""

    url: Annotated[str, Meta(min_length=1, max_length=2_000)]
    policy: File = ""
    """The trust policy; empty: ``trust.json``."""
    ca_file: File = ""
    proxy: Annotated[str, Meta(max_length=2_000)] = ""
    insecure: bool = False


class Keys(Record):
    """Whose key signs."""

    file: File = ""
    """Empty: ``key.json``."""
    passphrase_file: File = ""
    """Of this key and of ``vault.key``; its first line."""


class Listen(Record):
    """Where tills ask."""

    host: Annotated[str, Meta(max_length=253)]
    port: Annotated[int, Meta(ge=0, le=65_535)]
    names: Annotated[list[str], Meta(max_length=100)] = []
    """Further names under which it is asked, as ``gateway.hospital.lan:8490``."""


class Answers(Record):
    """How long a till waits, and how much may wait."""

    seconds: Annotated[float, Meta(gt=0, le=60)]
    away_seconds: Annotated[float, Meta(gt=0, le=600)]
    """Without an answer for so long the ledger is away."""
    probe_seconds: Annotated[float, Meta(gt=0, le=60)]
    batch_seconds: Annotated[float, Meta(ge=0, le=5)]
    """How long a bill waits for company."""
    queue: Annotated[int, Meta(ge=1, le=100_000)]
    """Requests that wait for the office; more are told to come again."""


class Type(Record):
    """What stands on every bill of a type, so that a till need not say it."""

    type: BillTypeId
    template: CatalogueCode
    purpose: Word


class Reserve(Record):
    """An offline reserve: numbers for when the ledger is away."""

    code: BillCode
    level: Level
    first: BillNumber
    key: File = ""
    """The key that issues out of it; empty: the gateway's own."""


class Archive(Record):
    """Who archives the bodies."""

    org: OrgId | None = None
    deliver_to: Annotated[str, Meta(max_length=2_000)] = ""
    """A folder or an address; empty: others deliver."""


class Claims(Record):
    """What a reimburser does."""

    enabled: bool = False


class Config(Record):
    """All settings."""

    ledger: Ledger
    keys: Keys
    listen: Listen
    answers: Answers
    issuer: Issuer | None = None
    """As the face of a bill prints it."""
    currency: Currency
    clerk: Text = ""
    types: Annotated[list[Type], Meta(max_length=200)] = []
    reserve: Annotated[list[Reserve], Meta(max_length=50)] = []
    archive: Archive
    claims: Claims


DEFAULTS: dict[str, object] = {
    "keys": {},
    "listen": {"host": "127.0.0.1", "port": 8490},
    "answers": {
        "seconds": 2.0,
        "away_seconds": 5.0,
        "probe_seconds": 1.0,
        "batch_seconds": 0.05,
        "queue": 1_000,
    },
    "currency": "CNY",
    "archive": {"org": "finance"},
    "claims": {},
}

EXAMPLE = """\
# Settings of tally gateway. Files are looked for in this folder.
# What is commented out is as it stands here.

# currency = "CNY"

[ledger]
url = "{url}"
# policy = "trust.json"       # whose word is good enough
# ca_file = ""                # authorities in place of the system's
# proxy = ""

# [keys]
# file = "key.json"           # the operating key that signs
# passphrase_file = ""

# [listen]
# host = "127.0.0.1"          # tills of other machines: behind a proxy with TLS
# port = 8490
# names = []                  # further HOST:PORT under which it is asked

# [answers]
# seconds = 2.0               # how long a till waits at most
# away_seconds = 5.0          # without an answer for so long the ledger is away
# probe_seconds = 1.0
# batch_seconds = 0.05        # how long a bill waits for company
# queue = 1000                # requests that may wait

# [issuer]                    # as the face of a bill prints it
# name = "示范市第一医院"
# credit_code = ""
# institution_type = ""

# [[types]]                   # what stands on every bill of a type
# type = 330601
# template = "330601"
# purpose = "charge"

# [[reserve]]                 # numbers for when the ledger is away
# code = 33060126
# level = 3
# first = 900001
# key = ""                    # if it has a key of its own

# [archive]
# org = "finance"
# deliver_to = ""             # a folder, or the address of its letterbox

# [claims]                    # of reimbursers
# enabled = false
"""


def load(file: Path) -> Config:
    """The settings in a file; `Malformed` names what is wrong."""
    try:
        return read(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise Malformed(f"{file.name} is not in UTF-8") from None


def read(text: str) -> Config:
    """The settings in a text."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"not TOML: {error}") from None
    values: dict[str, object] = builtins(DEFAULTS)
    for name, value in given.items():
        known = values.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            values[name] = known | _numbers(value)
        else:
            values[name] = value
    return narrow(values, Config)


def _numbers(section: dict[str, object]) -> dict[str, object]:
    """``seconds = 2`` is as good as ``2.0``."""
    return {
        name: float(value) if name.endswith("seconds") and isinstance(value, int) else value
        for name, value in section.items()
    }
