"""Edwards25519 in forty lines: to build keys and signatures that no library would make.

Slow, not constant in time, for tests only: the arithmetic of RFC 8032 section 5.1 as it is written.
"""

from __future__ import annotations

from hashlib import sha512
from typing import TypeAlias

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, PRIME) % PRIME

Point: TypeAlias = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(one: Point, two: Point) -> Point:
    (x1, y1), (x2, y2) = one, two
    k = _D * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, PRIME)
    return x % PRIME, y % PRIME


def times(scalar: int, point: Point) -> Point:
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def decompress(y: int, sign: int) -> Point:
    """The point of this y; `ValueError` if the curve has none."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    if (x * x - square) % PRIME:
        raise ValueError("no such point")
    return (PRIME - x if x & 1 != sign else x), y


def compress(point: Point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = decompress(4 * pow(5, -1, PRIME) % PRIME, 0)
TORSION = decompress(
    int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    ),
    0,
)
"""A point of order eight."""
SMALL_ORDER = [times(n, TORSION) for n in range(8)]


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(r + key + message).digest(), "little") % ORDER


def sign(
    secret: int, nonce: int, message: bytes, *, key_torsion: Point, r_torsion: Point
) -> tuple[bytes, bytes]:
    """Key and signature with a part of small order in either: some rules accept, ours does not."""
    key = compress(add(times(secret, BASE), key_torsion))
    r = compress(add(times(nonce, BASE), r_torsion))
    s = (nonce + challenge(r, key, message) * secret) % ORDER
    return key, r + s.to_bytes(32, "little")
