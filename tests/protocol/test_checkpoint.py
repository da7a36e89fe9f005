"""Notes, checkpoints and co-signatures: published vectors first, then every changed byte."""

from __future__ import annotations

import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from tallystick.protocol import checkpoint as c
from tallystick.protocol.checkpoint import Checkpoint, Note, NoteSignature, VerifierKey
from tallystick.protocol.errors import Malformed, VerificationFailed

DASH = "\N{EM DASH}"


class Key:
    """A signer out of a seed."""

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)

    @property
    def public_key(self) -> bytes:
        return bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


# golang.org/x/mod/sumdb/note, note_test.go: the keys and the note of the reference implementation.
PETER = Key(bytes.fromhex("810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173"))
PETER_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
PETER_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_LINE = (
    f"{DASH} PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    "\n"
)
ENOCH_LINE = (
    f"{DASH} EnochRoot "
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ="
    "\n"
)

# c2sp.org/signed-note, "Verifier keys", the example.
SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n"
    "\n"
    f"{DASH} example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    "\n"
)

# c2sp.org/tlog-cosignature, the example; its co-signature was made over an older format.
SPEC_CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
)
SPEC_COSIGNED = (
    f"{SPEC_CHECKPOINT}\n"
    f"{DASH} example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8="
    "\n"
    f"{DASH} witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIU"
    "BkBIfZ+qnA==\n"
)

# A checkpoint of a public log, with its log's note signature, one of a type that is not ours
# (RFC 6962) and the co-signatures of public witnesses, whose keys their operators publish.
PUBLIC = (
    "arche2025h1.staging.ct.transparency.dev\n"
    "1432088532\n"
    "U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n"
    "\n"
    f"{DASH} arche2025h1.staging.ct.transparency.dev "
    "zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJX"
    "Fbon5Ch9MNL5zRNZ55lvGt0=\n"
    f"{DASH} arche2025h1.staging.ct.transparency.dev "
    "ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ="
    "\n"
    f"{DASH} remora.n621.de "
    "2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxt"
    "qB0DrAWfBw==\n"
    f"{DASH} witness.stagemole.eu "
    "Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKF"
    "Ye/TmN9DAg==\n"
)
PUBLIC_LOG_VKEY = (
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
PUBLIC_WITNESS_VKEYS = [
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
]
PUBLIC_COSIGNED_AT = 0x6A122120

LOG, KEEPER = Key(b"log ".ljust(32)), Key(b"keeper".ljust(32))
ORIGIN, KEEPER_NAME = "bills.example/0123456789abcdef", "finance-33.example/keeper"
TEXT = c.format_checkpoint(Checkpoint(ORIGIN, 70_000, bytes(range(32))))
AT = 1_790_000_000
LINES = [c.sign_note(TEXT, ORIGIN, LOG), c.cosign(TEXT, KEEPER_NAME, KEEPER, AT)]
NOTE = c.format_note(TEXT, LINES).encode()

names = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="+"), min_size=1
)


def open_both(data: bytes) -> tuple[Checkpoint, int]:
    """What a reader with both keys gets out of a note."""
    note = c.parse_note(data)
    c.verify_note_signature(note, ORIGIN, LOG.public_key)
    return c.parse_checkpoint(note.text), c.verify_cosignature(note, KEEPER_NAME, KEEPER.public_key)


@pytest.mark.parametrize("vkey", [PETER_VKEY, ENOCH_VKEY, SPEC_VKEY, *PUBLIC_WITNESS_VKEYS])
def test_published_keys(vkey: str) -> None:
    assert c.format_vkey(c.parse_vkey(vkey)) == vkey


def test_the_reference_implementations_note_is_signed_to_the_byte() -> None:
    assert c.sign_note(PETER_TEXT, "PeterNeumann", PETER) == PETER_LINE
    assert c.parse_vkey(PETER_VKEY) == VerifierKey("PeterNeumann", c.NOTE_KEY, PETER.public_key)


@pytest.mark.parametrize(
    ("data", "vkey"),
    [
        (c.format_note(PETER_TEXT, [PETER_LINE, ENOCH_LINE]), PETER_VKEY),
        (c.format_note(PETER_TEXT, [PETER_LINE, ENOCH_LINE]), ENOCH_VKEY),
        (SPEC_NOTE, SPEC_VKEY),
        (PUBLIC, PUBLIC_LOG_VKEY),
    ],
)
def test_published_notes(data: str, vkey: str) -> None:
    note, verifier = c.parse_note(data.encode()), c.parse_vkey(vkey)
    c.verify_note_signature(note, verifier.name, verifier.key)
    assert c.format_note(note.text, [signature.line for signature in note.signatures]) == data
    with pytest.raises(VerificationFailed):
        c.verify_note_signature(Note("x" + note.text, note.signatures), *named(vkey))


@pytest.mark.parametrize("vkey", PUBLIC_WITNESS_VKEYS)
def test_published_cosignatures(vkey: str) -> None:
    note = c.parse_note(PUBLIC.encode())
    assert c.parse_vkey(vkey).key_type == c.COSIGNATURE_KEY
    assert c.verify_cosignature(note, *named(vkey)) == PUBLIC_COSIGNED_AT
    other = note.text.replace("1432088532", "1432088533")
    with pytest.raises(VerificationFailed):
        c.verify_cosignature(Note(other, note.signatures), *named(vkey))


def named(vkey: str) -> tuple[str, bytes]:
    verifier = c.parse_vkey(vkey)
    return verifier.name, verifier.key


def test_the_example_of_the_cosignature_specification() -> None:
    note = c.parse_note(SPEC_COSIGNED.encode())
    log, witness = note.signatures
    assert note.text == SPEC_CHECKPOINT
    assert (log.name, len(log.signature)) == ("example.com/behind-the-sofa", 64)
    assert (witness.name, len(witness.signature)) == ("witness.example.com/w1", 72)
    assert struct.unpack(">Q", witness.signature[:8]) == (1679315147,)
    checkpoint = c.parse_checkpoint(SPEC_CHECKPOINT)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert c.format_checkpoint(checkpoint) == SPEC_CHECKPOINT


def test_a_cosignature_is_over_the_message_of_the_specification() -> None:
    message = f"cosignature/v1\ntime 1679315147\n{SPEC_CHECKPOINT}".encode()
    line = c.cosign(SPEC_CHECKPOINT, "witness.example.com/w1", KEEPER, 1679315147)
    (signature,) = c.parse_note(c.format_note(SPEC_CHECKPOINT, [line]).encode()).signatures
    assert signature.signature == struct.pack(">Q", 1679315147) + KEEPER.sign(message)


def test_a_text_may_have_empty_lines() -> None:
    text = "one\n\ntwo\n\n\n"
    line = c.sign_note(text, "a", LOG)
    note = c.parse_note(c.format_note(text, [line]).encode())
    assert note.text == text
    c.verify_note_signature(note, "a", LOG.public_key)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PETER_TEXT.encode(),
        (PETER_TEXT + "\n").encode(),
        c.format_note(PETER_TEXT, [PETER_LINE[:-1]]).encode(),
        c.format_note("\x01" + PETER_TEXT, [PETER_LINE]).encode(),
        c.format_note("\r\n" + PETER_TEXT, [PETER_LINE]).encode(),
        b"\xff" + c.format_note(PETER_TEXT, [PETER_LINE]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("PeterNeumann", "Bad Name")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("PeterNeumann", "Bad+Name")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("PeterNeumann", "B\u00e4d")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("PeterNeumann", "Bad\x85Name")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("PeterNeumann ", " ")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE, "Unexpected line.\n"]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace(DASH, "-")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("nAM=", "nAN=")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("nAM=", "nAM")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("nAM=", "nAM==")]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE.replace("x08g", "x0-g")]).encode(),
        c.format_note(PETER_TEXT, [f"{DASH} a \u0661\n"]).encode(),
        c.format_note(PETER_TEXT, [f"{DASH} a x08gow==\n"]).encode(),
        c.format_note(PETER_TEXT, [f"{DASH} a\n"]).encode(),
        c.format_note(PETER_TEXT, [PETER_LINE, PETER_LINE]).encode(),
    ],
)
def test_malformed_notes(data: bytes) -> None:
    with pytest.raises(Malformed):
        c.parse_note(data)


def test_limits_of_a_note() -> None:
    lines = [NoteSignature(f"k{n}", b"1234", b"\x01").line for n in range(c.SIGNATURES_MAX + 1)]
    assert len(c.parse_note(c.format_note(TEXT, lines[:-1]).encode()).signatures) == 64
    with pytest.raises(Malformed, match="65 signatures"):
        c.parse_note(c.format_note(TEXT, lines).encode())
    long = "x" * (c.NOTE_BYTES_MAX - len(c.format_note("\n", lines[:1]).encode())) + "\n"
    assert c.parse_note(c.format_note(long, lines[:1]).encode()).text == long
    with pytest.raises(Malformed, match="more than"):
        c.parse_note(c.format_note("x" + long, lines[:1]).encode())


ROOT = b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        f"a\n1\n{ROOT}",
        f"a\n1\n{ROOT}\n\n",
        f"a\n1\n{ROOT}\nextension\n",
        f"a\n\n{ROOT}\n",
        f"a\n01\n{ROOT}\n",
        f"a\n+1\n{ROOT}\n",
        f"a\n-1\n{ROOT}\n",
        f"a\n 1\n{ROOT}\n",
        f"a\n1_0\n{ROOT}\n",
        f"a\n\u0661\n{ROOT}\n",
        f"a\n9007199254740992\n{ROOT}\n",
        f"a\n10000000000000000\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        f"a b\n1\n{ROOT}\n",
        f"a+b\n1\n{ROOT}\n",
        f"a\r\n1\n{ROOT}\n",
        "a\n1\n\n",
        f"a\n1\n{ROOT[:-1]}\n",
        f"a\n1\n{ROOT[:-2]}B=\n",
        f"a\n1\n{b64encode(bytes(31)).decode()}\n",
        f"a\n1\n{b64encode(bytes(33)).decode()}\n",
    ],
)
def test_other_spellings_of_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        c.parse_checkpoint(text)
    with pytest.raises(Malformed):
        c.cosign(text, KEEPER_NAME, KEEPER, AT)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        PETER_VKEY.replace("c74f20a3", "c74f20a4"),
        PETER_VKEY.replace("c74f20a3", "C74F20A3"),
        PETER_VKEY.replace("PeterNeumann", "PeterNeuman"),
        PETER_VKEY + "=",
        # Another length and another type, with the key id adjusted: from note_test.go.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "\ud800+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_malformed_keys(vkey: str) -> None:
    with pytest.raises(Malformed):
        c.parse_vkey(vkey)


def test_every_part_of_a_key_is_needed() -> None:
    """note_test.go's manglings: every other substring, every byte increased by one."""
    size = len(PETER_VKEY)
    parts = [PETER_VKEY[i:j] for i in range(size + 1) for j in range(i + 1, size + 1)]
    parts.remove(PETER_VKEY)
    for at, char in enumerate(PETER_VKEY):
        parts.append(PETER_VKEY[:at] + chr(ord(char) + 1) + PETER_VKEY[at + 1 :])
    for part in parts:
        with pytest.raises(Malformed):
            c.parse_vkey(part)


@pytest.mark.parametrize(
    ("text", "name"), [("no newline", "a"), ("a\ttab\n", "a"), ("", "a"), ("x\n", "a b")]
)
def test_what_is_no_note_is_not_signed(text: str, name: str) -> None:
    with pytest.raises(Malformed):
        c.sign_note(text, name, LOG)
    with pytest.raises(Malformed):
        c.cosign(TEXT, "a b", KEEPER, AT)


def test_a_keeper_signs_at_times_that_can_be_written() -> None:
    for at in (-1, c.COSIGNED_AT_MAX + 1):
        with pytest.raises(ValueError, match="not a time"):
            c.cosign(TEXT, KEEPER_NAME, KEEPER, at)
    for at in (0, c.COSIGNED_AT_MAX):
        line = c.cosign(TEXT, KEEPER_NAME, KEEPER, at)
        note = c.parse_note(c.format_note(TEXT, [line]).encode())
        assert c.verify_cosignature(note, KEEPER_NAME, KEEPER.public_key) == at


def test_an_impossible_time_is_refused_even_if_signed() -> None:
    at = c.COSIGNED_AT_MAX + 1
    signature = KEEPER.sign(f"cosignature/v1\ntime {at}\n{TEXT}".encode())
    made = cosigned(TEXT, struct.pack(">Q", at) + signature)
    with pytest.raises(VerificationFailed, match="impossible time"):
        c.verify_cosignature(made, KEEPER_NAME, KEEPER.public_key)


def test_only_checkpoints_are_cosigned() -> None:
    text = "something else\n"
    signature = KEEPER.sign(f"cosignature/v1\ntime {AT}\n{text}".encode())
    made = cosigned(text, struct.pack(">Q", AT) + signature)
    with pytest.raises(Malformed):
        c.verify_cosignature(made, KEEPER_NAME, KEEPER.public_key)


@pytest.mark.parametrize("signature", [b"\x01", bytes(8), bytes(71), bytes(72), bytes(73)])
def test_signatures_of_other_lengths_fail(signature: bytes) -> None:
    with pytest.raises(VerificationFailed):
        c.verify_cosignature(cosigned(TEXT, signature), KEEPER_NAME, KEEPER.public_key)


def cosigned(text: str, signature: bytes) -> Note:
    """A note with a co-signature line that `cosign` would not write."""
    vkey = c.format_vkey(VerifierKey(KEEPER_NAME, c.COSIGNATURE_KEY, KEEPER.public_key))
    key_id = bytes.fromhex(vkey.split("+")[1])
    return Note(text, (NoteSignature(KEEPER_NAME, key_id, signature),))


def test_a_key_vouches_in_its_own_role_only() -> None:
    """A log signature is no co-signature and the other way round, by whichever name or key."""
    note = c.parse_note(NOTE)
    assert open_both(NOTE) == (Checkpoint(ORIGIN, 70_000, bytes(range(32))), AT)
    for name in (ORIGIN, KEEPER_NAME):
        for key in (LOG.public_key, KEEPER.public_key):
            if (name, key) != (ORIGIN, LOG.public_key):
                with pytest.raises(VerificationFailed):
                    c.verify_note_signature(note, name, key)
            if (name, key) != (KEEPER_NAME, KEEPER.public_key):
                with pytest.raises(VerificationFailed):
                    c.verify_cosignature(note, name, key)


def test_every_changed_bit_is_noticed() -> None:
    for at in range(len(NOTE)):
        for bit in range(8):
            changed = NOTE[:at] + bytes([NOTE[at] ^ 1 << bit]) + NOTE[at + 1 :]
            with pytest.raises((Malformed, VerificationFailed)):
                open_both(changed)


@given(st.integers(0, len(NOTE)), st.integers(0, 40), st.binary(max_size=40))
def test_no_other_bytes_say_the_same(at: int, cut: int, put: bytes) -> None:
    """Whatever is cut out and put in: refused, or more lines of others below the same statement."""
    changed = NOTE[:at] + put + NOTE[at + cut :]
    try:
        opened = open_both(changed)
    except (Malformed, VerificationFailed):
        return
    note = c.parse_note(changed)
    assert opened == open_both(NOTE)
    assert c.format_note(note.text, [line.line for line in note.signatures]).encode() == changed
    assert changed == NOTE or len(note.signatures) > len(LINES)


@given(names, st.integers(0, 2**53 - 1), st.binary(min_size=32, max_size=32))
def test_checkpoints_are_read_back(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert c.parse_checkpoint(c.format_checkpoint(checkpoint)) == checkpoint


@given(st.text(max_size=20), st.text("0123456789+- _\n", max_size=18), st.sampled_from([ROOT, ""]))
def test_what_is_read_as_a_checkpoint_has_one_text(origin: str, size: str, root: str) -> None:
    text = f"{origin}\n{size}\n{root}\n"
    try:
        checkpoint = c.parse_checkpoint(text)
    except Malformed:
        return
    assert c.format_checkpoint(checkpoint) == text


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n")),
    st.dictionaries(names, st.binary(min_size=5, max_size=100), min_size=1, max_size=5),
)
def test_notes_are_read_back(text: str, signatures: dict[str, bytes]) -> None:
    note = Note(
        text + "\n",
        tuple(NoteSignature(name, data[:4], data[4:]) for name, data in signatures.items()),
    )
    lines = [signature.line for signature in note.signatures]
    assert c.parse_note(c.format_note(note.text, lines).encode()) == note


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_what_is_read_as_a_note_has_one_text(data: bytes) -> None:
    for whole in (data, b"text\n\n" + data, b"text\n\n" + DASH.encode() + b" a " + data):
        try:
            note = c.parse_note(whole)
        except Malformed:
            continue
        lines = [signature.line for signature in note.signatures]
        assert c.format_note(note.text, lines).encode() == whole


@given(names, st.sampled_from([c.NOTE_KEY, c.COSIGNATURE_KEY]), st.binary(min_size=32, max_size=32))
def test_keys_are_read_back(name: str, key_type: int, key: bytes) -> None:
    verifier = VerifierKey(name, key_type, key)
    assert c.parse_vkey(c.format_vkey(verifier)) == verifier
