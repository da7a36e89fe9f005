"""What commands read: files of bounded size, key files and their passphrases, amounts, instants.

Invariant: no file is read beyond its limit, and a passphrase is never taken from the command line,
where other users of the machine could see it. See docs/cli.md.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar

import typer

from tallystick.cli import out
from tallystick.cli.failures import FALSE, fail
from tallystick.durable import without_waiting
from tallystick.keyring import (
    DeliveryKey,
    KeySigner,
    VaultKey,
    load,
    load_delivery_key,
    load_vault_key,
)
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.trust import TRUST_BYTES_MAX, TrustPolicy, read_trust

Key = TypeVar("Key", KeySigner, VaultKey, DeliveryKey)

TEXT_BYTES_MAX = 64 * 1024 * 1024
"""One JSON document: some tens of thousands of drafts."""


@contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """A plain file to be read, or for ``-`` the standard input."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with open(path, "rb", opener=without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            fail("cli.not_a_file", "不是普通文件", "this is no plain file", detail=str(path))
        yield file


def read_file(path: Path, bytes_max: int) -> bytes:
    """A plain file's bytes; fails when there are more than `bytes_max`."""
    with open_plain(path) as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        fail(
            *("cli.too_large", "文件过大", "the file is too large"),
            detail=f"{path}: more than {bytes_max:,} bytes",
            todo=("核对是否选错文件", "check that it is the file you mean"),
        )
    return data


def read_json(path: Path, bytes_max: int = TEXT_BYTES_MAX) -> Any:
    """Any JSON, as people write it; ``-`` is the standard input."""
    data = read_file(path, bytes_max)
    try:
        return json.loads(data, parse_float=_no_float)
    except (ValueError, RecursionError) as error:
        not_json(path, error)


def not_json(path: Path, error: Exception) -> NoReturn:
    """Give up on a file."""
    fail(
        *("cli.not_json", "不是有效的 JSON", "this is not JSON"),
        detail=f"{path}: {error}",
        todo=("改正所示位置", "mend it at the place that is named"),
    )


def passphrase_of(file: Path | None, *, new: bool = False) -> str | None:
    """A passphrase out of a file's first line, or asked for on the terminal (``-``); None: none."""
    if file is None:
        return None
    if str(file) == "-":
        asked: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
        return asked
    line = read_file(file, 4096).decode(errors="replace").split("\n")[0].rstrip("\r")
    if not line:
        fail("cli.passphrase_empty", "口令为空", "the passphrase is empty", detail=str(file))
    return line


def load_signer(path: Path, passphrase_file: Path | None) -> KeySigner:
    """The signing key in a file; asks for its passphrase when it is locked and we can ask."""
    return _unlocked(load, path, passphrase_file)


def load_vault(path: Path, passphrase_file: Path | None) -> VaultKey:
    """The key of a vault."""
    return _unlocked(load_vault_key, path, passphrase_file)


def load_delivery(path: Path, passphrase_file: Path | None) -> DeliveryKey:
    """A key that deliveries are opened with."""
    return _unlocked(load_delivery_key, path, passphrase_file)


def parse_key(text: str, beside: Path = Path()) -> bytes:
    """A public key: 64 hex digits, or the path of a key file, whose public part is taken."""
    from tallystick.keyring import read_public

    try:
        key = bytes.fromhex(text)
    except ValueError:
        return read_public(beside / text).public
    if len(key) != 32:
        fail("cli.key", "公钥应为 64 位十六进制", "a public key has 64 hex digits", detail=text)
    return key


def parse_hex(text: str, what: str, length: int = 32) -> bytes:
    """Bytes written in hex."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != length:
        fail("cli.hex", f"应为 {length * 2} 位十六进制", f"{what}: {length * 2} hex digits needed")
    return data


def digest_of(text: str) -> bytes:
    """SHA-256 of the file of this name, or as it is written in hex."""
    if len(text) == 64 and not Path(text).exists():
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    return sha256(read_file(Path(text), TEXT_BYTES_MAX)).digest()


@contextmanager
def in_file(file: Path) -> Iterator[None]:
    """What is not well formed is said of this file, not only of a field of whatever it is."""
    try:
        yield
    except Malformed as error:
        raise Malformed(f"{file}: {error}", path=error.path) from error


def parse_bill(text: str) -> tuple[int, int]:
    """Code and number of ``33060126:0000100001`` or ``33060126:100001``."""
    code, _, digits = text.partition(":")
    if not (code.isascii() and code.isdigit() and len(code) == 8 and code[0] != "0"):
        _bad_bill(text)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits)):
        _bad_bill(text)
    return int(code), int(digits)


def parse_range(text: str) -> tuple[int, int]:
    """``1-5000`` or ``17``: first and last number."""
    first, dash, last = text.replace(",", "").partition("-")
    ends = (first, last if dash else first)
    if not all(each.isascii() and each.isdigit() and len(each) <= 10 for each in ends):
        fail(
            *("cli.range", "号段应写作 起号-止号", "a range is written FIRST-LAST, like 1-5000"),
            detail=text,
        )
    if int(ends[1]) < int(ends[0]):
        fail("cli.range", "止号小于起号", "a range ends before it begins", detail=text)
    return int(ends[0]), int(ends[1])


def read_policy(path: Path | None) -> TrustPolicy:
    """The trust policy: as named, else $TALLY_TRUST, else the one in the user's configuration."""
    home = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(home) if home else Path.home() / ".config"
    named = path or Path(os.environ.get("TALLY_TRUST") or folder / "tallystick" / "trust.json")
    if not named.exists():
        fail(
            *("cli.no_trust", "没有信任策略，无法判断真伪"),
            "there is no trust policy, and without one nothing can be judged",
            todo=(
                "从可信渠道取得 trust.json，用 --trust 或 TALLY_TRUST 指明",
                "get trust.json from whom you trust, never from whoever shows you the receipt; "
                "name it with --trust or $TALLY_TRUST",
            ),
            detail=str(named),
        )
    data = read_file(named, TRUST_BYTES_MAX).removesuffix(b"\n")
    try:
        return read_trust(data)
    except Malformed as error:
        raise Malformed(f"{named} is no trust policy: {error.detail}", path=error.path) from None


def _unlocked(
    load_it: Callable[[Path, str | None], Key], path: Path, passphrase_file: Path | None
) -> Key:
    """A key; its passphrase is asked for when it is locked, none was named, and we can ask."""
    try:
        return load_it(path, passphrase_of(passphrase_file))
    except VerificationFailed as error:
        if "passphrase" not in error.detail:
            raise
        if passphrase_file is None and sys.stdin.isatty():
            out.warn(f"{path} is locked.", "")
            return _unlocked(load_it, path, Path("-"))
        fail(
            *("cli.passphrase", "口令缺失或不正确", "the passphrase is missing or wrong"),
            todo=(
                "指明口令文件（首行为口令），或用 - 在终端输入",
                "name a file whose first line it is, or - to be asked: --passphrase-file, "
                "--vault-passphrase-file, --log-passphrase-file",
            ),
            detail=error.detail,
            exit_code=FALSE,
        )


def _no_float(text: str) -> int:
    raise ValueError(f"{text}: amounts are whole minor units, not fractions")


def _bad_bill(text: str) -> None:
    fail(
        *("cli.bill", "票据应写作 代码:号码"),
        "a bill is written CODE:NUMBER, like 33060126:0000000001",
        detail=text,
    )
