"""The settings of `tally serve`: one TOML file, each value overridden by the environment.

A setting that is not in the file has the value that `DEFAULTS` says. The documented file
(`default_file`), which docs/guides/configuration.md shows, is written from these records.

Invariant: a name that is not known is refused, with its line; nothing is guessed.
See docs/guides/configuration.md.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tallystick.protocol.canonical import Meta, Record, builtins, encode, narrow
from tallystick.protocol.errors import Malformed
from tallystick.web.limits import LIMITS, Limits

PREFIX = "TALLY_"
"""Of variables: TALLY_LISTEN_PORT is `port` in `[listen]`."""


class Listen(Record):
    """Where requests are taken, and by how many processes."""

    host: Annotated[
        str, Meta(max_length=253, description="address to bind; behind a proxy leave it local")
    ]
    port: Annotated[int, Meta(ge=0, le=65_535, description="TCP port; 0: any that is free")]
    workers: Annotated[int, Meta(ge=1, le=64, description="processes that answer requests")]
    public_url: Annotated[
        str,
        Meta(
            max_length=2_000,
            description="how clients reach this server, such as https://ledger.example; "
            "requests are signed for this host. Empty: as it listens",
        ),
    ]
    trusted_proxies: Annotated[
        list[str],
        Meta(description="networks whose x-forwarded-for is believed, such as 10.0.0.0/8"),
    ]


class Policy(Record):
    """When an answer is good enough."""

    file: Annotated[
        str,
        Meta(
            description="trust file that a note must meet before it is answered, beside the "
            "ledger; where there is none, any note of the log's own key will do"
        ),
    ]


class Keepers(Record):
    """Keepers that answer over HTTP (tally keep --listen)."""

    urls: Annotated[
        list[str],
        Meta(
            description="their addresses; asked at the start what time it is: a clock that is "
            "ahead of theirs is not believed"
        ),
    ]


class Witnesses(Record):
    """C2SP witnesses that checkpoints are sent to (tlog-witness, add-checkpoint)."""

    urls: Annotated[list[str], Meta(description="each as URL=VKEY, see tally vkeys")]


class Bodies(Record):
    """A letterbox for bodies on their way to members and wallets, if this server has one."""

    box: Annotated[
        str, Meta(description="folder that the receivers read; empty: letters are not taken")
    ]
    receivers: Annotated[list[str], Meta(description="organisations that receive here")]
    wallets: Annotated[bool, Meta(description="whether wallets may open boxes and collect")]


class Check(Record):
    """The stranger's check of a bill: what it can be compared with besides its record."""

    archive: Annotated[
        str,
        Meta(
            description="folder of finance's archive, for check code and payer's name; empty: "
            "these are not checked"
        ),
    ]
    key_file: Annotated[str, Meta(description="vault key of the archive")]
    wrong_per_hour: Annotated[
        int, Meta(ge=1, le=100_000, description="answers that differ, of one bill")
    ]
    asked_per_hour: Annotated[
        int, Meta(ge=1, le=1_000_000, description="checks of one client's network address")
    ]


class Webhooks(Record):
    """Events that are sent to receivers."""

    enabled: Annotated[bool, Meta(description="whether any is sent")]
    private_addresses: Annotated[
        bool,
        Meta(description="whether a receiver may be in a private network, such as 10.0.0.0/8"),
    ]
    give_up_hours: Annotated[
        int, Meta(ge=1, le=720, description="after so long without an answer it is a dead letter")
    ]


class Metrics(Record):
    """Prometheus, on a port of its own: it is not for the public."""

    host: Annotated[str, Meta(max_length=253, description="address to bind")]
    port: Annotated[int, Meta(ge=0, le=65_535, description="TCP port; 0: no metrics")]


class Logging(Record):
    """One line of JSON a request and a fault, without personal data."""

    file: Annotated[str, Meta(description="where it goes; empty: standard error")]
    requests: Annotated[bool, Meta(description="whether there is a line for each request")]


class Retention(Record):
    """How long what is no part of the ledger is kept."""

    reads_days: Annotated[
        int, Meta(ge=1, le=36_500, description="who read what, for the holder to see")
    ]


class Config(Record):
    """All settings of a server."""

    listen: Listen
    limits: Limits
    policy: Policy
    keepers: Keepers
    witnesses: Witnesses
    bodies: Bodies
    check: Check
    webhooks: Webhooks
    metrics: Metrics
    logs: Logging
    retention: Retention


DEFAULTS = Config(
    listen=Listen(host="127.0.0.1", port=8480, workers=1, public_url="", trusted_proxies=[]),
    limits=LIMITS,
    policy=Policy(file="trust.json"),
    keepers=Keepers(urls=[]),
    witnesses=Witnesses(urls=[]),
    bodies=Bodies(box="", receivers=[], wallets=False),
    check=Check(archive="", key_file="", wrong_per_hour=20, asked_per_hour=600),
    webhooks=Webhooks(enabled=True, private_addresses=False, give_up_hours=72),
    metrics=Metrics(host="127.0.0.1", port=0),
    logs=Logging(file="", requests=True),
    retention=Retention(reads_days=1_096),
)
"""What holds where nothing is said."""


def load(file: Path | None, environment: Mapping[str, str]) -> Config:
    """The settings of a server; `Malformed` names the line, or the variable, that is wrong."""
    text = ""
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise Malformed(f"{file.name} is not in UTF-8") from None
    return read(text, environment)


def read(text: str, environment: Mapping[str, str]) -> Config:
    """`text` is TOML; what it does not say is as in `DEFAULTS`, then the environment."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"not TOML: {error}") from None
    for section, fields in given.items():
        _known_section(section, fields, text)
    values: dict[str, dict[str, Any]] = builtins(DEFAULTS)
    for section, fields in given.items():
        values[section] |= fields
        _checked(section, values[section], lambda name, s=section: _where(text, s, name))
    for variable, value in sorted(environment.items()):
        named = _named_by(variable)
        if named:
            section, name = named
            values[section][name] = _from_text(variable, value, fields_of(section)[name])
            _checked(section, values[section], lambda name, v=variable: f"{v}: ")
    for network in values["listen"]["trusted_proxies"]:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise Malformed(str(error), path="listen/trusted_proxies") from None
    return narrow(values, Config)


def fields_of(section: str) -> dict[str, Any]:
    """The settings of a section and their annotated types."""
    return get_type_hints(_SECTIONS[section], include_extras=True)


_SECTIONS: dict[str, type[Record]] = get_type_hints(Config)


def _known_section(section: str, fields: object, text: str) -> None:
    if section not in _SECTIONS:
        where = _where(text, "", section)
        raise Malformed(f"{where}there is no section [{section}]", path=section)
    if not isinstance(fields, dict):
        raise Malformed(f"{_where(text, '', section)}[{section}] is a section", path=section)
    known = fields_of(section)
    for name in fields:
        if name not in known:
            where = _where(text, section, name)
            raise Malformed(f"{where}[{section}] has no setting {name}", path=f"{section}/{name}")


def _checked(section: str, values: dict[str, Any], where: Any) -> None:
    try:
        narrow(values, _SECTIONS[section])
    except Malformed as error:
        name = error.path.partition("/")[0]
        raise Malformed(f"{where(name)}{error.detail}", path=f"{section}/{error.path}") from None


def _where(text: str, section: str, name: str) -> str:
    """The line of a setting, or of a section when `section` is empty."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]\s]+)", line)
        if header:
            current = header[1]
            if not section and _first(current) == name:
                return f"line {number}: "
        key = re.match(r"\s*\"?([\w.-]+)\"?\s*=", line)
        dotted = f"{current}.{key[1]}".lstrip(".") if key else ""
        if dotted and (dotted == f"{section}.{name}" or (not section and _first(dotted) == name)):
            return f"line {number}: "
    return ""


def _first(dotted: str) -> str:
    return dotted.partition(".")[0]


def _named_by(variable: str) -> tuple[str, str] | None:
    """Section and setting of a variable; one that nearly is a setting is refused."""
    if not variable.startswith(PREFIX):
        return None
    section, _, name = variable.removeprefix(PREFIX).lower().partition("_")
    if section not in _SECTIONS:
        return None
    if name not in fields_of(section):
        raise Malformed(f"{variable}: [{section}] has no setting {name}", path=f"{section}/{name}")
    return section, name


def _from_text(variable: str, value: str, kind: Any) -> Any:
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    try:
        if plain is bool:
            return {"true": True, "false": False}[value.lower()]
        if plain is int or plain is float:
            return plain(value)
    except (KeyError, ValueError):
        said = "true or false" if plain is bool else "a number"
        raise Malformed(f"{variable}: this is {said}") from None
    if plain is str:
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def default_file() -> str:
    """The documented file of defaults, as `tally serve --print-config` prints it."""
    lines = [
        "# Settings of tally serve. Each may be left out; then it is as it stands here.",
        f"# The environment goes before: {PREFIX}LISTEN_PORT=8443 is port in [listen];",
        "# a list there is written with commas.",
    ]
    values = builtins(DEFAULTS)
    for section, kind in _SECTIONS.items():
        lines += ["", f"# {(kind.__doc__ or '').strip().splitlines()[0]}", f"[{section}]"]
        for name, annotated in fields_of(section).items():
            meta: Meta = get_args(annotated)[1]
            lines.append(f"# {meta.description}{_bounds(meta)}")
            lines.append(f"{name} = {_toml(values[section][name])}")
    return "\n".join(lines) + "\n"


def _bounds(meta: Meta) -> str:
    if meta.le is None:
        return ""
    least = f"{meta.ge}" if meta.ge is not None else f"more than {meta.gt}"
    return f" ({least} to {meta.le})"


def _toml(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return encode(value).decode()
