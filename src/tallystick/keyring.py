"""Key files: where secrets live on disk, and the signers that are made of them.

One JSON file a key, readable by its owner alone, encrypted under a passphrase if one is given
(scrypt, AES-256-GCM). Three formats of one shape: keys that sign (Ed25519), keys that a vault wraps
its secrets with (AES-256), keys that deliveries are sealed to (X25519). See docs/spec/keys.md.

Invariant: a secret is in its file and in its object, never in a text: no repr, message or pickle.
"""

from __future__ import annotations

import os
import secrets
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from tallystick.durable import without_waiting, write_new
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed

SECRET_BYTES = 32
KEY_FILE_BYTES_MAX = 4 * 1024

SIGNING = "tallystick/key/v1"
VAULT = "tallystick/vault-key/v1"
DELIVERY = "tallystick/delivery-key/v1"

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**17, 8, 1
"""RFC 7914; 128 MiB and a third of a second a guess."""
_SCRYPT_N_MAX = 2**20
"""A file may ask for 1 GiB at most before its passphrase is tried."""
_SIGNATURE_BYTES = 64
_NOT_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_VAULT_KEY_ID_CONTEXT = b"tallystick/vault-key-id/v1\n"

KeyName = Annotated[str, Meta(pattern=r"\A[!-*,-~]{1,80}\Z")]
"""As C2SP allows it in a signature line: no space, no plus."""
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Seed = Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
Made = TypeVar("Made", bound="_Key")


class Locked(Record):
    """A secret under a passphrase; what it costs to try one stands beside it."""

    kdf: Literal["scrypt"]
    n: Annotated[int, Meta(ge=2**14, le=_SCRYPT_N_MAX)]
    r: Annotated[int, Meta(ge=8, le=8)]
    p: Annotated[int, Meta(ge=1, le=4)]
    salt: Annotated[bytes, Meta(min_length=16, max_length=16)]
    nonce: Annotated[bytes, Meta(min_length=12, max_length=12)]
    data: Annotated[bytes, Meta(min_length=SECRET_BYTES + 16, max_length=SECRET_BYTES + 16)]


class KeyFile(Record):
    """What stands in the file; the secret itself, or locked."""

    format: Literal["tallystick/key/v1", "tallystick/vault-key/v1", "tallystick/delivery-key/v1"]
    name: KeyName
    public: Bytes32
    secret: Seed | None = None
    locked: Locked | None = None

    def __repr__(self) -> str:
        return f"KeyFile({self.format}, {self.name})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Tracebacks that show locals ask for this instead."""
        return [("format", self.format), ("name", self.name)]


@dataclass(frozen=True, slots=True)
class PublicPart:
    """What anyone may know of a key; for a vault key, `public` only tells it from others."""

    format: str
    name: str
    public: bytes


class _Key:
    """A secret that shows only its name and public part."""

    __slots__ = ("_secret", "name", "public_key")

    def __init__(self, name: str, public_key: bytes, secret: bytes) -> None:
        self.name = name
        self.public_key = public_key
        self._secret = secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.public_key.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key is not copied; hand on the object or its file")


class KeySigner(_Key):
    """An Ed25519 key; fulfils `protocol.keys.Signer`."""

    __slots__ = ()

    def sign(self, message: bytes) -> bytes:
        """The raw signature over `message`, which starts with its context line."""
        return crypto_sign(message, self._secret + self.public_key)[:_SIGNATURE_BYTES]


class VaultKey(_Key):
    """The key of one vault; `public_key` is its fingerprint."""

    __slots__ = ()

    @property
    def secret(self) -> bytes:
        """What `Vault.open` is handed."""
        return self._secret


class DeliveryKey(_Key):
    """An X25519 key that deliveries are sealed to."""

    __slots__ = ()

    @property
    def private_key(self) -> X25519PrivateKey:
        """What deliveries are opened with."""
        return X25519PrivateKey.from_private_bytes(self._secret)


def signer_from_seed(seed: bytes, *, name: str = "seeded") -> KeySigner:
    """The signer of a seed: for tests, the demo and benchmarks, and to load a file."""
    return KeySigner(name, crypto_sign_seed_keypair(_seed(seed))[0], seed)


def vault_key_from_seed(seed: bytes, *, name: str = "seeded") -> VaultKey:
    """The vault key that is `seed`."""
    return VaultKey(name, sha256(_VAULT_KEY_ID_CONTEXT + _seed(seed)).digest(), seed)


def delivery_key_from_seed(seed: bytes, *, name: str = "seeded") -> DeliveryKey:
    """The delivery key whose private scalar is `seed`."""
    private_key = X25519PrivateKey.from_private_bytes(_seed(seed))
    return DeliveryKey(name, private_key.public_key().public_bytes_raw(), seed)


def generate(path: Path, *, name: str, passphrase: str | None = None) -> KeySigner:
    """Make a signing key and its file; `FileExistsError` if there is one."""
    return _generate(path, SIGNING, signer_from_seed, name, passphrase)


def generate_vault_key(path: Path, *, name: str, passphrase: str | None = None) -> VaultKey:
    """Make a vault key and its file; `FileExistsError` if there is one."""
    return _generate(path, VAULT, vault_key_from_seed, name, passphrase)


def generate_delivery_key(path: Path, *, name: str, passphrase: str | None = None) -> DeliveryKey:
    """Make a delivery key and its file; `FileExistsError` if there is one."""
    return _generate(path, DELIVERY, delivery_key_from_seed, name, passphrase)


def load(path: Path, passphrase: str | None = None) -> KeySigner:
    """The signer in a key file. A passphrase that the file does not need is not an error."""
    return _load(path, SIGNING, signer_from_seed, passphrase)


def load_vault_key(path: Path, passphrase: str | None = None) -> VaultKey:
    """The vault key in a key file."""
    return _load(path, VAULT, vault_key_from_seed, passphrase)


def load_delivery_key(path: Path, passphrase: str | None = None) -> DeliveryKey:
    """The delivery key in a key file."""
    return _load(path, DELIVERY, delivery_key_from_seed, passphrase)


def read_public(path: Path) -> PublicPart:
    """The public part of a key file of any format; needs no passphrase, trusts the file."""
    file = _read(path, owner_only=False)
    return PublicPart(file.format, file.name, file.public)


def _generate(
    path: Path, kind: str, make: Callable[..., Made], name: str, passphrase: str | None
) -> Made:
    seed = secrets.token_bytes(SECRET_BYTES)
    key = make(seed, name=name)
    content: dict[str, Any] = {"format": kind, "name": name, "public": key.public_key}
    if passphrase is None:
        content["secret"] = seed
    else:
        content["locked"] = _lock(seed, passphrase, _associated(kind, name, key.public_key))
    file = KeyFile(**content)
    data = encode(file)
    decode(data, KeyFile)  # refuses a name that could not be loaded again
    write_new(path, data + b"\n")
    return key


def _load(path: Path, kind: str, make: Callable[..., Made], passphrase: str | None) -> Made:
    """1. owner only, canonical    2. of this kind    3. unlocked    4. public part fits secret."""
    file = _read(path, owner_only=True)  # 1
    if file.format != kind:  # 2
        raise Malformed(f"{path} is a {file.format}, not a {kind}", path="format")
    if (file.secret is None) == (file.locked is None):
        raise Malformed(f"{path} has not exactly one of secret and locked", path="secret")
    if file.locked is None:  # 3
        seed = file.secret or b""
    elif passphrase is None:
        raise VerificationFailed(f"{path} is locked: it needs its passphrase")
    else:
        try:
            seed = _unlock(file.locked, passphrase, _associated(kind, file.name, file.public))
        except InvalidTag:
            raise VerificationFailed(f"wrong passphrase for {path}, or it was changed") from None
    key = make(seed, name=file.name)
    if key.public_key != file.public:  # 4
        raise Damaged(f"{path}: the public part is not that of the secret", path="public")
    return key


def _seed(seed: bytes) -> bytes:
    if len(seed) != SECRET_BYTES:
        raise ValueError(f"a seed has {SECRET_BYTES} bytes, not {len(seed)}")
    return seed


def _associated(kind: str, name: str, public: bytes) -> bytes:
    """What the lock holds unchangeable: a locked secret cannot move under another name."""
    return encode([kind, name, public])


def _lock(seed: bytes, passphrase: str, associated: bytes) -> Locked:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    key = _stretch(passphrase, salt, _SCRYPT_N, _SCRYPT_R, _SCRYPT_P)
    return Locked(
        kdf="scrypt",
        n=_SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        salt=salt,
        nonce=nonce,
        data=AESGCM(key).encrypt(nonce, seed, associated),
    )


def _unlock(locked: Locked, passphrase: str, associated: bytes) -> bytes:
    if locked.n & (locked.n - 1):
        raise Malformed(f"scrypt's n is a power of two, not {locked.n}", path="locked/n")
    key = _stretch(passphrase, locked.salt, locked.n, locked.r, locked.p)
    return AESGCM(key).decrypt(locked.nonce, locked.data, associated)


def _stretch(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    """Normalised first: the same passphrase typed on two systems is the same key."""
    if not passphrase:
        raise ValueError("an empty passphrase locks nothing; leave it out instead")
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(
        unicodedata.normalize("NFC", passphrase).encode()
    )


def _read(path: Path, *, owner_only: bool) -> KeyFile:
    with open(path, "rb", opener=without_waiting) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise Malformed(f"{path} is no plain file")
        if owner_only and mode & _NOT_OTHERS:
            raise VerificationFailed(
                f"{path} can be read or written by others (mode {stat.S_IMODE(mode):04o}); "
                f"if nobody has read it: chmod 600 {path}"
            )
        data = file.read(KEY_FILE_BYTES_MAX + 1)
    if len(data) > KEY_FILE_BYTES_MAX:
        raise Malformed(f"{path} has more than {KEY_FILE_BYTES_MAX} bytes")
    try:
        return decode(data.removesuffix(b"\n"), KeyFile)
    except Malformed as error:
        # What the reader says of a damaged file might quote the secret: name the field only.
        raise Malformed(f"{path} is no key file of Tallystick", path=error.path) from None
