"""Who asks: a member or a keeper by a live key, a member's system by a pass, a bill's holder.

Authority is looked up on the ledger at each request, so that what ends there ends here: keys,
grants, suspensions. A request's nonce is taken once it is known whose key signed it, so that keys
of nobody leave no trace. See docs/spec/requests.md.

Invariant: a caller may never do more than the key that signed allows, a pass never more than that
key, and both by a grant only what the organisation itself may at that moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tallystick.client.passes import BILLS_READ, LEDGER_READ, Pass, read_pass
from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.grants import codes_cover, pattern_allows
from tallystick.contracts.kit.keys import KeyRow, find_key
from tallystick.contracts.members.views import grants, may
from tallystick.protocol.errors import Rejected, TallystickError
from tallystick.protocol.values import parse_instant
from tallystick.web.nonces import MEMBER_REQUESTS_MAX, STRANGER_REQUESTS_MAX, NonceStore
from tallystick.web.reasons import WebReason
from tallystick.web.requests import (
    AHEAD_SECONDS_MAX,
    RawHeaders,
    RequestVerifier,
    SignedBy,
    is_signed,
)
from tallystick.web.revoked import Revoked

if TYPE_CHECKING:
    from starlette.requests import Request

PASSES_KEPT = 1_024
"""Whose signatures a worker need not verify again."""
KEYS_KEPT = 10_000
"""Whose rows a worker need not read again until the next block; read, each is checked anew."""

_BEARER = "bearer "

Kind = Literal["anonymous", "member", "keeper", "log", "holder", "helper"]


class Limit(NamedTuple):
    """What a key or a pass is for."""

    actions: tuple[str, ...]
    codes: tuple[int, ...] = ()
    """Leading digits of bill codes; none: all."""
    strict: bool = False
    """A pass: needs its word for what concerns its organisation, too."""

    def covers(self, code: int | None) -> bool:
        """Whether it is for this code; one that is bound to codes is for nothing without one."""
        return not self.codes or (code is not None and codes_cover(list(self.codes), code))

    def allows(self, action: str) -> bool:
        """Whether it is for this action."""
        return any(pattern_allows(each, action) for each in self.actions)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as the request itself and the ledger say."""

    kind: Kind
    org: str | None = None
    """Of a member, of a keeper."""
    key: bytes = b""
    pass_id: bytes = b""
    limits: tuple[Limit, ...] = ()
    bill: str | None = None
    """Of a holder or a helper: the one bill that may be asked about."""
    opening: str = ""
    """What the request shows of a bill: the header's value, not read yet."""

    @property
    def name(self) -> str:
        """For logs and metrics: the organisation, or what kind of key it is."""
        return self.org or self.kind

    @property
    def by(self) -> str:
        """By what it asks: ``pass:`` or ``key:`` and an id that gives nothing away."""
        return f"pass:{self.pass_id.hex()}" if self.pass_id else f"key:{self.key.hex()}"

    def own(self, code: int | None = None) -> bool:
        """Whether it may ask what concerns its organisation, on `code` if it is about one."""
        return self.owns and all(each.covers(code) for each in self.limits)

    @property
    def owns(self) -> bool:
        """Whether it may ask what concerns its organisation at all, on whatever code."""
        return all(not each.strict or each.allows(BILLS_READ) for each in self.limits)


ANONYMOUS = Caller("anonymous")


class Stranger(NamedTuple):
    """What somebody with a key that is on no ledger has shown."""

    kind: Literal["holder", "helper"]
    bill: str


Strangers = Callable[[Reader, bytes, str, int], Stranger]
"""Reader, key, what is shown, now: of which bill this is the holder; `Rejected`: of none."""


def allows(reader: Reader, caller: Caller, action: str, now: int, code: int | None = None) -> bool:
    """Whether a live grant, within key and pass, lets the caller read by `action` (a read word).

    `code`: of bills of that code; None: of all. A keeper executes everything, and may read it; so
    may the operator, whose log key asks for its own ledger back when it has lost it.
    """
    if caller.kind in ("keeper", "log"):
        return action == LEDGER_READ
    if caller.kind != "member" or caller.org is None:
        return False
    if not all(each.allows(action) and each.covers(code) for each in caller.limits):
        return False
    if code is None:
        return any(
            not grant.codes and any(pattern_allows(each, action) for each in grant.actions)
            for grant, live in grants(reader, caller.org, now)
            if live
        ) and may(reader, caller.org, action, now)
    return may(reader, caller.org, action, now, code)


def no_strangers(reader: Reader, key: bytes, shown: str, now: int) -> Stranger:
    """Where no bills are known: a key that is on no ledger is nobody's."""
    raise Rejected(WebReason.KEY, "this key is not registered", path="keyid")


class Door:
    """Says who asks, for each request of one worker."""

    def __init__(
        self,
        view: Callable[[], AbstractContextManager[Reader]],
        network: bytes,
        *,
        verifier: RequestVerifier,
        nonces: NonceStore,
        revoked: Revoked,
        clock: Callable[[], int],
        strangers: Strangers = no_strangers,
        moment: Callable[[Any], object] = lambda reader: object(),
    ) -> None:
        """`moment` of two readers is equal only if nothing can have changed between them."""
        self._view = view
        self._network = network
        self._verifier = verifier
        self._nonces = nonces
        self._revoked = revoked
        self._clock = clock
        self._strangers = strangers
        self._passes: OrderedDict[bytes, Pass] = OrderedDict()
        self._moment = moment
        self._known_at: object = None
        self._known: dict[bytes, KeyRow | None] = {}

    def authenticate(self, request: Request, body: bytes) -> Caller:
        """Who asks with this body; `Rejected` when nobody says so, or falsely."""
        scope = request.scope
        raw: bytes = scope.get("raw_path") or scope["path"].encode("latin-1", "replace")
        caller = self.ask(
            scope["method"],
            raw.decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            scope["headers"],
            body,
        )
        if caller.kind == "anonymous":
            raise Rejected(WebReason.UNSIGNED)
        return caller

    def ask(self, method: str, path: str, query: str, headers: RawHeaders, body: bytes) -> Caller:
        """The same from its parts; `ANONYMOUS` when the request is neither signed nor has a pass.

        `headers` may be walked several times. Each signed request is good for one call.
        """
        token = _bearer(headers)
        if not is_signed(headers):
            if token is None:
                return ANONYMOUS
            with self._view() as reader:
                return self._by_pass(reader, token)
        if token is not None:
            raise Rejected(WebReason.SIGNATURE, "signed, and with a pass", path="authorization")
        signed = self._verifier.verify(method, path, query, headers)
        signed.check_body(body)
        with self._view() as reader:
            caller = self._by_key(reader, signed)
        known = caller.org is not None
        self._nonces.take(signed, MEMBER_REQUESTS_MAX if known else STRANGER_REQUESTS_MAX)
        return caller

    def _by_key(self, reader: Reader, signed: SignedBy) -> Caller:
        now = self._clock()
        row = self._find_key(reader, signed.key)
        if row is None:
            kind, bill = self._strangers(reader, signed.key, signed.opening, now)
            return Caller(kind, None, signed.key, bill=bill, opening=signed.opening)
        if row.role not in ("operating", "keeper", "log"):
            raise Rejected(WebReason.KEY, f"a key of role {row.role} asks nothing", path="keyid")
        if not _is_live(row, now):
            raise Rejected(WebReason.KEY, "this key has ended", path="keyid")
        if row.org is None:
            return Caller("log", None, signed.key)
        if row.role == "keeper":
            return Caller("keeper", row.org, signed.key, opening=signed.opening)
        return Caller(
            "member", row.org, signed.key, limits=(limit_of(row),), opening=signed.opening
        )

    def _by_pass(self, reader: Reader, token: str) -> Caller:
        now, shown = self._clock(), self._read(token)
        if shown.network != self._network:
            raise Rejected(WebReason.PASS, "it is of another network", path="authorization")
        row = self._find_key(reader, shown.key)
        if row is None or row.role != "operating" or row.org != shown.org:
            raise Rejected(WebReason.PASS, f"no key of {shown.org}'s made it", path="authorization")
        if not parse_instant(shown.since) - AHEAD_SECONDS_MAX <= now < parse_instant(shown.until):
            raise Rejected(WebReason.PASS_ENDED, f"{shown.since} to {shown.until}")
        if not _is_live(row, now) or self._revoked.is_revoked(shown.org, shown.id):
            raise Rejected(WebReason.PASS_ENDED, shown.id.hex())
        own = Limit(tuple(shown.may), tuple(shown.codes), strict=True)
        return Caller("member", shown.org, shown.key, shown.id, (limit_of(row), own))

    def _find_key(self, reader: Reader, key: bytes) -> KeyRow | None:
        moment = self._moment(reader)
        if moment != self._known_at or len(self._known) >= KEYS_KEPT:
            self._known.clear()
            self._known_at = moment
        if key not in self._known:
            self._known[key] = find_key(reader, key)
        return self._known[key]

    def _read(self, token: str) -> Pass:
        """The pass in a token; its signature is verified once a worker."""
        name = sha256(token.encode("latin-1", "replace")).digest()
        found = self._passes.get(name)
        if found is None:
            try:
                found = read_pass(token)
            except TallystickError:
                raise Rejected(WebReason.PASS, path="authorization") from None
            self._passes[name] = found
            if len(self._passes) > PASSES_KEPT:
                self._passes.popitem(last=False)
        return found


def _bearer(headers: RawHeaders) -> str | None:
    """What stands after ``Bearer`` in the one header for it."""
    found = None
    for name, value in headers:
        text = value.decode("latin-1").strip(" \t") if name == b"authorization" else ""
        if text[: len(_BEARER)].lower() == _BEARER:
            if found is not None:
                raise Rejected(WebReason.PASS, "two passes", path="authorization")
            found = text[len(_BEARER) :].strip(" ")
    return found


def _is_live(row: KeyRow, now: int) -> bool:
    return row.good and (row.until is None or now < parse_instant(row.until))


def limit_of(row: KeyRow) -> Limit:
    """A key that is bound to one number block is for its code."""
    codes = tuple(row.codes) if row.block is None else (row.block.code,)
    return Limit(tuple(row.actions), codes)
