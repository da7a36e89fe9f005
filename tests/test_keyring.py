"""Key files: what is on disk, who may read it, and that secrets stay where they belong."""

from __future__ import annotations

import copy
import json
import os
import pickle
import stat
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import keyring
from tallystick.protocol.errors import Damaged, Malformed, TallystickError, VerificationFailed
from tallystick.protocol.keys import Signer, verify_signature

PASSPHRASE = "correct horse 电池"
SEED = bytes(range(32))
KINDS: list[tuple[Callable[..., Any], Callable[..., Any], str]] = [
    (keyring.generate, keyring.load, keyring.SIGNING),
    (keyring.generate_vault_key, keyring.load_vault_key, keyring.VAULT),
    (keyring.generate_delivery_key, keyring.load_delivery_key, keyring.DELIVERY),
]
each_kind = pytest.mark.parametrize(("generate", "load", "kind"), KINDS)


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least that a file may ask for: these tests are not about the price of a guess."""
    monkeypatch.setattr(keyring, "_SCRYPT_N", 2**14)


def secret_of(key: Any) -> bytes:
    secret: bytes = key._secret
    return secret


def spellings(secret: bytes) -> list[str]:
    return [
        secret.hex(),
        repr(secret)[2:-1],
        b64encode(secret).decode().rstrip("="),
        urlsafe_b64encode(secret).decode().rstrip("="),
    ]


def test_signer_of_rfc_8032_section_7_1_test_2() -> None:
    signer = keyring.signer_from_seed(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    assert (
        signer.public_key.hex()
        == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    )
    assert signer.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_delivery_key_of_rfc_7748_section_6_1() -> None:
    key = keyring.delivery_key_from_seed(
        bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    )
    assert (
        key.public_key.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    )


def test_a_signer_is_what_the_protocol_asks_for(tmp_path: Path) -> None:
    signer: Signer = keyring.generate(tmp_path / "k", name="finance-33")
    signature = signer.sign(b"tallystick/test/v1\nhello")
    verify_signature(signer.public_key, b"tallystick/test/v1\nhello", signature)
    again = keyring.load(tmp_path / "k")
    assert again.sign(b"tallystick/test/v1\nhello") == signature


@each_kind
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_what_was_made_is_loaded(
    tmp_path: Path, generate: Any, load: Any, kind: str, passphrase: str | None
) -> None:
    path = tmp_path / "hospital-01.key"
    made = generate(path, name="hospital-01", passphrase=passphrase)
    loaded = load(path, passphrase)
    assert (loaded.name, loaded.public_key) == ("hospital-01", made.public_key)
    assert secret_of(loaded) == secret_of(made)
    public = keyring.read_public(path)
    assert public == keyring.PublicPart(kind, "hospital-01", made.public_key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["hospital-01.key"]
    in_file = any(text in path.read_text() for text in spellings(secret_of(made)))
    assert in_file == (passphrase is None)


def test_a_passphrase_is_the_same_however_it_is_typed(tmp_path: Path) -> None:
    keyring.generate(tmp_path / "k", name="a", passphrase="caf\u00e9")
    keyring.load(tmp_path / "k", "cafe\u0301")


@pytest.mark.parametrize(("n", "limit"), [(2**17, 2**20)])
def test_a_guess_costs_what_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, limit: int
) -> None:
    monkeypatch.undo()
    keyring.generate(tmp_path / "k", name="a", passphrase=PASSPHRASE)
    content = json.loads((tmp_path / "k").read_text())
    assert content["locked"]["n"] == n
    content["locked"]["n"] = 2 * limit
    with pytest.raises(Malformed):
        keyring.load(rewritten(tmp_path, content), PASSPHRASE)
    content["locked"]["n"] = n - 1
    with pytest.raises(Malformed, match="power of two"):
        keyring.load(rewritten(tmp_path, content), PASSPHRASE)


def rewritten(folder: Path, content: Any) -> Path:
    path = folder / "rewritten"
    path.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")))
    path.chmod(0o600)
    return path


@each_kind
def test_an_existing_file_is_never_replaced(
    tmp_path: Path, generate: Any, load: Any, kind: str
) -> None:
    path = tmp_path / "k"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        generate(path, name="a")
    assert path.read_text() == "precious"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        generate(path, name="a")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["k"]


@each_kind
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o602, 0o610])
def test_a_file_open_to_others_is_not_loaded(
    tmp_path: Path, generate: Any, load: Any, kind: str, mode: int
) -> None:
    path = tmp_path / "k"
    generate(path, name="a")
    path.chmod(mode)
    with pytest.raises(VerificationFailed, match=f"{mode:04o}.*chmod 600"):
        load(path)
    assert keyring.read_public(path).name == "a"


def test_a_wide_umask_does_not_open_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keyring.generate(tmp_path / "k", name="a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


@each_kind
def test_the_wrong_passphrase_or_none_is_said(
    tmp_path: Path, generate: Any, load: Any, kind: str
) -> None:
    path = tmp_path / "k"
    made = generate(path, name="a", passphrase=PASSPHRASE)
    for passphrase, words in (("wrong", "wrong passphrase"), (None, "needs its passphrase")):
        with pytest.raises(VerificationFailed, match=words) as caught:
            load(path, passphrase)
        shown = "".join(traceback.format_exception(caught.value))
        assert not [text for text in spellings(secret_of(made)) if text in shown]
    with pytest.raises(ValueError, match="empty passphrase"):
        load(path, "")
    with pytest.raises(ValueError, match="empty passphrase"):
        generate(tmp_path / "other", name="a", passphrase="")
    assert not (tmp_path / "other").exists()


def test_a_passphrase_that_is_not_needed_does_no_harm(tmp_path: Path) -> None:
    keyring.generate(tmp_path / "k", name="a")
    keyring.load(tmp_path / "k", PASSPHRASE)


def test_one_kind_is_not_loaded_as_another(tmp_path: Path) -> None:
    for generate, _, kind in KINDS:
        path = tmp_path / kind.replace("/", "-")
        generate(path, name="a")
        for _, load, other in KINDS:
            if other != kind:
                with pytest.raises(Malformed, match=f"is a {kind}, not a {other}"):
                    load(path)


def test_a_locked_secret_does_not_move_under_another_name(tmp_path: Path) -> None:
    keyring.generate(tmp_path / "k", name="a", passphrase=PASSPHRASE)
    content = json.loads((tmp_path / "k").read_text())
    with pytest.raises(VerificationFailed, match="or it was changed"):
        keyring.load(rewritten(tmp_path, content | {"name": "b"}), PASSPHRASE)


def test_a_public_part_that_is_not_the_secrets_is_damage(tmp_path: Path) -> None:
    keyring.generate(tmp_path / "k", name="a")
    content = json.loads((tmp_path / "k").read_text())
    other = b64encode(keyring.signer_from_seed(SEED).public_key).decode()
    with pytest.raises(Damaged, match="public part"):
        keyring.load(rewritten(tmp_path, content | {"public": other}))


def test_exactly_one_of_secret_and_locked(tmp_path: Path) -> None:
    keyring.generate(tmp_path / "k", name="a")
    keyring.generate(tmp_path / "l", name="a", passphrase=PASSPHRASE)
    content = json.loads((tmp_path / "k").read_text())
    both = content | {"locked": json.loads((tmp_path / "l").read_text())["locked"]}
    neither = {name: value for name, value in content.items() if name != "secret"}
    for wrong in (both, neither):
        with pytest.raises(Malformed, match="exactly one"):
            keyring.load(rewritten(tmp_path, wrong), PASSPHRASE)


@given(st.binary(max_size=80) | st.just(b"x" * 5000))
@settings(max_examples=50)
def test_what_is_no_key_file_is_refused(tmp_path_factory: Any, data: bytes) -> None:
    path = tmp_path_factory.mktemp("keys") / "k"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(Malformed):
        keyring.load(path)


def test_a_folder_or_a_missing_file_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="k"):
        keyring.load(tmp_path / "k")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Malformed, match="no plain file"):
        keyring.load(tmp_path / "pipe")


@given(st.data())
@settings(max_examples=80)
def test_no_changed_byte_gives_another_key(tmp_path_factory: Any, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("keys")
    made = keyring.generate(folder / "k", name="a")
    content = bytearray((folder / "k").read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "k").write_bytes(content)
    try:
        loaded = keyring.load(folder / "k")
    except TallystickError as error:
        shown = "".join(traceback.format_exception(error))
        assert not [text for text in spellings(secret_of(made)) if text in shown]
    else:  # only the name, which nothing binds in a file without a passphrase
        assert loaded.public_key == made.public_key
        assert loaded.name != made.name


@pytest.mark.parametrize("name", ["", "a b", "a+b", "x" * 81, "é", "a\n"])
def test_names_that_a_signature_line_cannot_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(Malformed):
        keyring.generate(tmp_path / "k", name=name)
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize(
    "make",
    [keyring.signer_from_seed, keyring.vault_key_from_seed, keyring.delivery_key_from_seed],
)
def test_a_secret_shows_in_no_text_and_no_copy(make: Callable[..., Any]) -> None:
    key = make(SEED, name="finance-33")
    shown = f"{key} {key!r} {key!s} {[key]!r} {key.name}"
    assert "finance-33" in shown
    assert not [text for text in spellings(SEED) if text in shown]
    assert not hasattr(key, "__dict__")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            copied(key)
    with pytest.raises(ValueError, match="32 bytes"):
        make(SEED[:31])


def test_the_file_record_shows_no_secret() -> None:
    file = keyring.KeyFile(format="tallystick/key/v1", name="a", public=bytes(32), secret=SEED)
    shown = f"{file!r} {file} {file.__rich_repr__()}"
    assert not [text for text in spellings(SEED) if text in shown]


def test_a_delivery_key_agrees_with_its_public_part() -> None:
    one, two = keyring.delivery_key_from_seed(SEED), keyring.delivery_key_from_seed(SEED[::-1])
    left = one.private_key.exchange(X25519PublicKey.from_public_bytes(two.public_key))
    right = two.private_key.exchange(X25519PublicKey.from_public_bytes(one.public_key))
    assert left == right


def test_a_vault_key_shows_a_fingerprint_and_gives_its_secret() -> None:
    key = keyring.vault_key_from_seed(SEED)
    assert key.secret == SEED
    assert key.public_key != SEED
