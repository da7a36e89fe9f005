"""What may be set is documented, and what cannot be set is refused where it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from tallystick.protocol.errors import Malformed
from tallystick.protocol.transaction import TRANSACTION_BYTES_MAX
from tallystick.web.config import DEFAULTS, Config, default_file, fields_of, load, read

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guides" / "configuration.md"
UNITS = ("seconds", "bytes", "days", "hours", "second", "max")


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(None, {"PATH": "/bin", "TALLY_DEBUG": "1"}) == DEFAULTS
    empty = tmp_path / "tally.toml"
    empty.write_text("", encoding="utf-8")
    assert load(empty, {}) == DEFAULTS


def test_variables_of_the_command_line_are_no_settings() -> None:
    """`TALLY_LOG_KEY` and its like belong to options of `tally`."""
    found = {
        name
        for path in (ROOT / "src" / "tallystick" / "cli").rglob("*.py")
        for name in re.findall(r"TALLY_[A-Z_]+", path.read_text(encoding="utf-8"))
    }
    assert {"TALLY_DIR", "TALLY_LOG_KEY"} <= found
    assert read("", dict.fromkeys(found, "x")) == DEFAULTS


def test_the_printed_file_is_the_defaults_and_every_setting_is_explained() -> None:
    printed = default_file()
    assert read(printed, {}) == DEFAULTS
    for section in Config.__struct_fields__:
        assert f"\n[{section}]\n" in printed
        for name, annotated in fields_of(section).items():
            assert re.search(rf"^# \w.*\n{name} = ", printed, re.MULTILINE)
            assert get_args(annotated)[1].description in printed


def test_the_guide_shows_the_printed_file() -> None:
    assert f"```toml\n{default_file()}```" in GUIDE.read_text(encoding="utf-8")


def test_times_and_sizes_have_their_units_in_their_names() -> None:
    for section in Config.__struct_fields__:
        for name, annotated in fields_of(section).items():
            if get_args(annotated)[0] is float:
                assert name.endswith(UNITS), name


def test_the_file_says_what_differs_and_the_environment_goes_before_it() -> None:
    text = '[listen]\nport = 8443\ntrusted_proxies = ["10.0.0.0/8"]\n[limits]\nidle_seconds = 5\n'
    found = read(text, {"TALLY_LISTEN_PORT": "9000", "TALLY_LIMITS_STOP_SECONDS": "0.5"})
    assert (found.listen.port, found.listen.host) == (9000, DEFAULTS.listen.host)
    assert (found.limits.idle_seconds, found.limits.stop_seconds) == (5, 0.5)
    assert found.listen.trusted_proxies == ["10.0.0.0/8"]
    assert found.check == DEFAULTS.check


def test_the_environment_has_no_types_but_settings_have() -> None:
    found = read(
        "",
        {
            "TALLY_WEBHOOKS_ENABLED": "false",
            "TALLY_WITNESSES_URLS": "https://a.example/w, https://b.example/w",
            "TALLY_LOGS_FILE": "7",
        },
    )
    assert found.webhooks.enabled is False
    assert found.witnesses.urls == ["https://a.example/w", "https://b.example/w"]
    assert found.logs.file == "7"


@pytest.mark.parametrize(
    ("text", "said", "path"),
    [
        ("[listen\n", "not TOML", ""),
        ("# x\n[listens]\nport = 1\n", "line 2: there is no section [listens]", "listens"),
        ("[listen]\n\nprot = 1\n", "line 3: [listen] has no setting prot", "listen/prot"),
        ("[logs]\nfile = ''\n[listen]\nfile = 1\n", "line 4: [listen] has no", "listen/file"),
        ("listen.prot = 1\n", "line 1: [listen] has no setting prot", "listen/prot"),
        ("listen = 8080\n", "line 1: [listen] is a section", "listen"),
        ("port = 8080\n", "line 1: there is no section [port]", "port"),
        ("[[listen]]\nport = 1\n", "line 1: [listen] is a section", "listen"),
        ("[listen]\nport = 70000\n", "line 2: Expected `int` <= 65535", "listen/port"),
        ("[listen]\nport = '80'\n", "line 2: Expected `int`, got `str`", "listen/port"),
        ("[listen]\nport = true\n", "line 2: Expected `int`, got `bool`", "listen/port"),
        ("[limits]\nheader_seconds = 0\n", "line 2: Expected `float` > 0", "limits/header_seconds"),
        ("[witnesses]\nurls = [3]\n", "line 2: Expected `str`", "witnesses/urls/0"),
        ("[listen]\ntrusted_proxies = ['proxy']\n", "'proxy'", "listen/trusted_proxies"),
    ],
)
def test_what_cannot_be_set_is_refused_where_it_stands(text: str, said: str, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(text, {})
    assert said in refused.value.detail and refused.value.path == path


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TALLY_LISTEN_PROT", "1", "TALLY_LISTEN_PROT: [listen] has no setting prot"),
        ("TALLY_LISTEN_PORT", "http", "TALLY_LISTEN_PORT: this is a number"),
        ("TALLY_LISTEN_PORT", "70000", "TALLY_LISTEN_PORT: Expected `int` <= 65535"),
        ("TALLY_WEBHOOKS_ENABLED", "yes", "TALLY_WEBHOOKS_ENABLED: this is true or false"),
    ],
)
def test_a_variable_that_is_wrong_is_named(variable: str, value: str, said: str) -> None:
    with pytest.raises(Malformed) as refused:
        read("", {variable: value})
    assert said in refused.value.detail


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tally.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Malformed, match=r"tally\.toml is not in UTF-8"):
        load(tmp_path / "tally.toml", {})


def test_every_transaction_fits_in_a_body() -> None:
    assert DEFAULTS.limits.body_bytes >= TRANSACTION_BYTES_MAX
    assert DEFAULTS.limits.bodies_bytes >= 16 * DEFAULTS.limits.body_bytes


def test_every_setting_is_read_somewhere() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "src").rglob("*.py")
        if path.name != "config.py"
    )
    unread = [
        f"{section}.{name}"
        for section in Config.__struct_fields__
        for name in fields_of(section)
        if not re.search(rf"\.{name}\b", sources)
    ]
    assert unread == []
