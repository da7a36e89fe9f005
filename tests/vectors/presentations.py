"""Presentations and split slips: those that hold, those not to be acted on, and forged ones.

A chain of their own, whose rows are those of bills, consents, mandates and grants.
See docs/spec/presentation.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from vectors.cases import FALSE, UNREADABLE, Case
from vectors.chain import CODE, START, Chain, Key, note_of
from vectors.world import NOW, fresh_times

from tallystick.apps.bills.fields import Fields, make_fields
from tallystick.apps.bills.showing import Presentation, Right
from tallystick.apps.bills.slip import SplitSlip, sums_of
from tallystick.contracts.bills.records.bills import Bill, TypeRules, type_row_id
from tallystick.contracts.bills.records.holders import Opening, commit_holder, holder_salt
from tallystick.protocol import merkle
from tallystick.protocol.body import disclosure_digest, leaves, seal_body
from tallystick.protocol.canonical import builtins, encode, narrow, replace
from tallystick.protocol.multiproof import prove_some
from tallystick.protocol.receipt import bill_number
from tallystick.protocol.row import row_key
from tallystick.protocol.values import format_instant

READER, PURPOSE = "insurer-01", "claim"
ISSUER = "hospital-01"
FIRST, SECOND, REBOUND, REVERSED = 300_001, 300_002, 300_003, 300_004
SHOW = ("items/0", "items/3", "payment/sources", "total")
FIELDS = make_fields(bytes(15) + b"\7", ["items/*", "payment/sources"])
MANDATE_KEY = Key("mandate").public_key
GRANT = "founding.2"
LATER = format_instant(NOW + 86_400)


def name_of(text: str) -> str:
    """An act's id."""
    return sha256(text.encode()).hexdigest()


class Shown:
    """The chain with its bills, and what may be shown of them."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.bodies: dict[int, dict[str, Any]] = {}
        self.index: dict[int, int] = {}
        for number in (FIRST, SECOND, REBOUND, REVERSED):
            self._issue(number)
        self._rights()
        self.chain.block(START + 60)
        self.chain.send([(1, 1)], sender="finance-33")
        self._bill(REBOUND, bound=1, holder=builtins(bytes(32)), version=1)
        self._bill(REVERSED, state="reversed", good=False, version=1)
        self._consent("revoked", FIRST, state="revoked", good=False, version=1)
        self.chain.block(START + 120)
        self.note = note_of(self.chain.checkpoint(), fresh_times())

    def bill_id(self, number: int) -> str:
        return bill_number(CODE, number)

    def opening(self, number: int) -> Opening:
        return Opening(key=Key(f"bill {number}").public_key, nonce=_nonce(number))

    def present(
        self,
        number: int = FIRST,
        show: tuple[str, ...] = SHOW,
        *,
        right: Right | None = None,
        audience: str = READER,
        **changes: Any,
    ) -> Presentation:
        """A presentation as an honest holder makes it, members changed."""
        body = self.bodies[number]
        sealed = seal_body(body, _secret(number))
        paths = [path for path, _ in leaves(body)]
        chosen = [n for n, path in enumerate(paths) if path in show]
        hashes = [merkle.leaf_hash(disclosure_digest(text)) for text in sealed.disclosures]
        key = row_key("bills.bill", self.bill_id(number))
        made = Presentation(
            format="tallystick/presentation/v1",
            audience=audience,
            purpose=PURPOSE,
            bill=self.bill_id(number),
            disclosures=[sealed.disclosures[n] for n in chosen],
            indices=chosen,
            size=len(paths),
            path=prove_some(hashes, chosen),
            receipt=self.chain.receipt(self.index[number], self.note, key),
            right=right or self.consented("given", number),
            issuer=self.chain.document(row_key("bills.issuer", ISSUER), self.note),
        )
        return replace(made, **changes)

    def consented(self, name: str, number: int = FIRST, fields: Fields = FIELDS) -> Right:
        rows = [self.document("bills.consent", name_of(f"{name} {number}"))]
        return Right(kind="consent", rows=rows, fields=fields)

    def mandated(self, name: str, number: int = FIRST, **changes: Any) -> Right:
        types = name == "typed"
        made = Right(
            kind="mandate",
            rows=[self.document("bills.mandate", name_of(name))],
            fields=FIELDS,
            opening=self.opening(number),
            type=None if types else self.document("bills.type", type_row_id(CODE // 100, 1)),
        )
        return replace(made, **changes)

    def by_statute(self, *orgs: str, grant: str = GRANT) -> Right:
        rows = [self.document("kit.authority", org) for org in orgs]
        return Right(kind="statute", rows=rows, grant=grant)

    def document(self, kind: str, row_id: str) -> Any:
        return self.chain.document(row_key(kind, row_id), self.note)

    def _issue(self, number: int) -> None:
        items = [
            {"amount": 1_000 + n, "code": f"{n + 1:02d}", "name": name}
            for n, name in enumerate(("诊察费", "检查费", "化验费", "西药费", "其他", "卫生材料费"))
        ]
        total = sum(item["amount"] for item in items)  # type: ignore[misc]  # all are integers
        self.bodies[number] = {
            "code": CODE,
            "currency": "CNY",
            "issued_at": format_instant(START),
            "issuer": ISSUER,
            "items": items,
            "kind": "blue",
            "network": builtins(self.chain.network),
            "number": number,
            "payer": {"name": "示例", "party": "person"},
            "payment": {"sources": {"account": 1_000, "cash": 2_000, "fund": total - 3_000}},
            "total": total,
            "type": CODE // 100,
        }
        self.index[number] = self.chain.send([(number, total)])
        self._bill(number)

    def _bill(self, number: int, **changes: Any) -> None:
        total, opening = self.bodies[number]["total"], self.opening(number)
        commitment = commit_holder(opening.key, holder_salt(opening.nonce, MANDATE_KEY))
        root = seal_body(self.bodies[number], _secret(number)).root
        amounts = {"total": total, "account": 1_000, "cash": 2_000}
        amounts |= {"self_pay": 3_000, "self_expense": 0}
        members: dict[str, Any] = {
            "amounts": amounts,
            "bill_kind": "blue",
            "currency": "CNY",
            "entry": self.index[number],
            "holder": builtins(commitment),
            "issued_at": format_instant(START),
            "issuer": ISSUER,
            "root": builtins(root),
            "state": "issued",
            "type_version": 1,
        }
        self.chain.put("bills.bill", self.bill_id(number), **(members | changes))

    def _consent(self, name: str, number: int, **changes: Any) -> None:
        members: dict[str, Any] = {
            "bill": self.bill_id(number),
            "bound": 0,
            "fields": builtins(FIELDS.digest),
            "purpose": PURPOSE,
            "reader": READER,
            "state": "given",
            "until": LATER,
        }
        self.chain.put("bills.consent", name_of(f"{name} {number}"), **(members | changes))

    def _rights(self) -> None:
        for number in (FIRST, SECOND, REBOUND, REVERSED):
            self._consent("given", number)
        self._consent("revoked", FIRST)
        self._consent("over", FIRST, until=format_instant(NOW - 1))
        for name, types in (("all", []), ("typed", [CODE // 100]), ("other", [330602])):
            members: dict[str, Any] = {
                "fields": builtins(FIELDS.digest),
                "key": builtins(MANDATE_KEY),
                "purpose": PURPOSE,
                "reader": READER,
                "state": "given",
                "until": LATER,
            }
            self.chain.put("bills.mandate", name_of(name), **members, **_if(types=types))
        self.chain.put("bills.issuer", ISSUER, state="active", below=2)
        rules = TypeRules(
            currencies=("CNY",),
            max_items=12,
            max_details=100,
            item_codes=("01",),
            liability="optional",
            ack="record",
            issue_past_seconds_max=60,
            issue_future_seconds_max=60,
            archive_within_seconds=0,
        )
        self.chain.put(
            "bills.type",
            type_row_id(CODE // 100, 1),
            type=CODE // 100,
            type_version=1,
            catalogue=builtins(bytes(32)),
            rules=builtins(rules),
            valid_from=format_instant(START),
        )
        self._authority("finance-33", {"actions": ["*"], "grant_id": "founding.0", "depth": 8})
        given = {"actions": ["bills.statute"], "codes": [33], "grant_id": GRANT}
        parent = {"org": "finance-33", "grant_id": "founding.0"}
        self._authority("insurer-01", given | {"parent": parent})
        lost = {"org": "finance-33", "grant_id": "founding.9"}
        self._authority("mutual-01", given | {"parent": lost})
        ended = {"ended": format_instant(START), "end_reason": "merged"}
        self._authority("fund-01", given | ended)
        self._authority("audit-01", given | {"actions": ["bills.lock"]})

    def _authority(self, org: str, grant: dict[str, Any]) -> None:
        self.chain.put("kit.authority", org, state="held", grants=[grant])


def _if(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _nonce(number: int) -> bytes:
    return sha256(b"nonce %d" % number).digest()[:16]


def _secret(number: int) -> bytes:
    return sha256(b"secret %d" % number).digest()


def presentations(shown: Shown) -> Iterator[Case]:
    """All of them."""
    yield from _good(shown)
    yield from _unfit(shown)
    yield from _false(shown)
    yield from _unreadable(shown)


def _case(name: str, made: Presentation, expect: str, why: str, **asked: Any) -> Case:
    named: dict[str, Any] = {"audience": READER, "purpose": PURPOSE, "now": NOW}
    return Case(name, "presentation", encode(made), expect, why, **(named | asked))


def _good(s: Shown) -> Iterator[Case]:
    yield _case("by a consent", s.present(), "GOOD", "archived, for this reader and purpose")
    paths = tuple(path for path, _ in leaves(s.bodies[FIRST]) if not path.startswith("payer/"))
    yield _case("all but the payer", s.present(show=paths), "GOOD", "one proof for them all")
    one = s.present(show=("items/5",))
    yield _case("one line", one, "GOOD", "the path of one leaf, as of an inclusion")
    yield _case(
        "by a mandate", s.present(right=s.mandated("all")), "GOOD", "the type is not sensitive"
    )
    yield _case("by a mandate for its type", s.present(right=s.mandated("typed")), "GOOD", "named")
    statute = s.by_statute("insurer-01", "finance-33")
    everything = s.present(show=("payer/name", *SHOW), right=statute)
    yield _case("by statute", everything, "GOOD", "no fields; the grant up to the founding file")
    last = NOW - 6 + 600
    yield _case("just fresh", s.present(), "GOOD", "as old as the policy allows", now=last)


def _unfit(s: Shown) -> Iterator[Case]:
    honest = s.present()
    yield _case("another reader", honest, "NOT_FOR_YOU", "the insurer's", audience="mutual-01")
    yield _case("another purpose", honest, "NOT_FOR_YOU", "for a claim", purpose="audit")
    yield _case("nobody asked", honest, "NOT_FOR_YOU", "no reader named", audience="", purpose="")
    yield _case("stale", honest, "STALE", "a second too old", now=NOW - 6 + 601)
    yield _case("from the future", honest, "STALE", "61 s ahead", now=NOW - 6 - 61)
    revoked = s.present(right=s.consented("revoked"))
    yield _case("revoked", revoked, "NOT_GOOD", "the holder revoked the consent")
    yield _case("over", s.present(right=s.consented("over")), "EXPIRED", "its until is over")
    rebound = s.present(REBOUND)
    yield _case("bound anew", rebound, "NOT_GOOD", "bound since the consent was given")
    yield _case("reversed", s.present(REVERSED), "NOT_GOOD", "the bill is reversed")
    ended = s.present(right=s.by_statute("fund-01"), audience="fund-01")
    yield _case("a grant that ended", ended, "NOT_GOOD", "ended by its giver", audience="fund-01")


def _false(s: Shown) -> Iterator[Case]:
    honest, other = s.present(), s.present(SECOND)

    def no(name: str, made: Presentation, why: str, **asked: Any) -> Case:
        return _case(name, made, FALSE, why, **asked)

    yield no("addressed anew", replace(honest, audience="mutual-01"), "the consent says who")
    yield no("another purpose written", replace(honest, purpose="audit"), "the consent says why")
    yield no("another bill named", replace(honest, bill=other.bill), "the receipt says which")
    names = ("disclosures", "indices", "size", "path")
    leaves_ = {name: getattr(other, name) for name in names}
    yield no("leaves of another bill", replace(honest, **leaves_), "not under this root")
    shifted = [n + 1 for n in honest.indices]
    yield no("indices shifted", replace(honest, indices=shifted), "they say how to walk")
    yield no("one index less", replace(honest, indices=shifted[:-1]), "one for each leaf")
    yield no("size doubled", replace(honest, size=honest.size * 2), "another walk")
    yield no("a hash less", replace(honest, path=honest.path[:-1]), "the walk takes one more")
    yield no("a hash more", replace(honest, path=[*honest.path, bytes(32)]), "none is left over")
    twice = replace(
        honest,
        disclosures=[honest.disclosures[0], *honest.disclosures],
        indices=[honest.indices[0], *honest.indices],
    )
    yield no("a leaf twice", twice, "each stands once")
    backwards = replace(honest, disclosures=honest.disclosures[::-1], indices=honest.indices[::-1])
    yield no("leaves backwards", backwards, "paths ascend")
    payer = s.present(show=("payer/name",))
    yield no("a field not consented", payer, "payer/name is not covered")
    wide = replace(honest.right, fields=make_fields(FIELDS.salt, ["items/*", "payer/*"]))
    yield no("wider fields", s.present(show=("items/0",), right=wide), "another digest")
    salted = replace(honest.right, fields=make_fields(bytes(16), FIELDS.paths))
    yield no("another salt", s.present(right=salted), "another digest")
    yield no("fields not opened", s.present(right=replace(honest.right, fields=None)), "must be")
    consents = [*honest.right.rows, *other.right.rows]
    yield no("two consents", s.present(right=replace(honest.right, rows=consents)), "one right")
    yield no("another's consent", s.present(right=other.right), "of another bill")
    absent = replace(honest.right, rows=[s.document("bills.consent", "0" * 64)])
    yield no("no such consent", s.present(right=absent), "a proof of absence")
    yield no("no state", replace(honest, receipt=replace(honest.receipt, state=None)), "the bill's")
    yield no("another receipt", replace(honest, receipt=other.receipt), "of another bill")
    clinic = s.chain.document(row_key("bills.issuer", "clinic-01"), s.note)
    yield no("another issuer", replace(honest, issuer=clinic), "the bill's issuer is asked for")
    lone = note_of(s.chain.checkpoint(), {"insurer-01": NOW - 5})
    unsealed = s.chain.document(row_key("bills.issuer", ISSUER), lone)
    yield no("a proof without finance", replace(honest, issuer=unsealed), "finance is required")
    yield from _false_rights(s)
    elsewhere = {"policy": "trust-other-network"}
    yield no("another network", honest, "of another network", **elsewhere)


def _false_rights(s: Shown) -> Iterator[Case]:
    def no(name: str, right: Right, why: str, **asked: Any) -> Case:
        made = s.present(right=right, audience=asked.get("audience", READER))
        return _case(name, made, FALSE, why, **asked)

    yield no("a mandate not opened", s.mandated("all", opening=None), "whose bill is it?")
    yield no("opened for another bill", s.mandated("all", SECOND), "not this bill's commitment")
    yield no("no type shown", s.mandated("all", type=None), "it may be sensitive")
    yield no("a type too much", s.mandated("typed", type=s.mandated("all").type), "not asked for")
    other = s.mandated("other", type=None)
    yield no("a mandate for another type", other, "it names 330602 alone")
    cut = s.by_statute("insurer-01")
    yield no("a grant's parent hidden", cut, "the parent may have ended")
    lost = s.by_statute("mutual-01", "finance-33")
    yield no("a grant out of nothing", lost, "no such parent", audience="mutual-01")
    lock = s.by_statute("audit-01", "finance-33")
    yield no("a grant for something else", lock, "not bills.statute", audience="audit-01")
    theirs = s.by_statute("insurer-01", "finance-33")
    yield no("another's grant", theirs, "the reader's own is needed", audience="mutual-01")


def _unreadable(s: Shown) -> Iterator[Case]:
    data = encode(s.present())
    members: dict[str, Any] = json.loads(data)

    def broken(name: str, made: Any, why: str) -> Case:
        raw = made if isinstance(made, bytes) else encode(made)
        named: dict[str, Any] = {"audience": READER, "purpose": PURPOSE, "now": NOW}
        return Case(f"presentation: {name}", "presentation", raw, UNREADABLE, why, **named)

    yield broken("white space", data.replace(b":", b": ", 1), "canonical")
    yield broken("more behind it", data + b"\n", "canonical")
    yield broken("a member more", members | {"note": 1}, "closed")
    without = {name: value for name, value in members.items() if name != "issuer"}
    yield broken("no issuer's state", without, "it belongs to it")
    yield broken("no leaves", members | {"disclosures": [], "indices": []}, "one at least")
    yield broken("another format", members | {"format": "tallystick/presentation/v2"}, "unknown")
    yield broken("a huge size", members | {"size": 32_769}, "32 768 at most")
    padded = [f"{members['disclosures'][0]}=", *members["disclosures"][1:]]
    yield broken("a leaf padded", members | {"disclosures": padded}, "one spelling")
    star = members["right"] | {"fields": members["right"]["fields"] | {"paths": ["*"]}}
    yield broken("a star alone", members | {"right": star}, "no pattern")
    unsorted = members["right"]["fields"] | {"paths": ["payment/sources", "items/*"]}
    yield broken(
        "patterns unsorted",
        members | {"right": members["right"] | {"fields": unsorted}},
        "they ascend",
    )


def slips(shown: Shown) -> Iterator[Case]:
    """Split slips."""
    for number, expect, why in (
        (FIRST, "GOOD", "nothing reimbursed yet"),
        (SECOND, "GOOD", "another bill"),
        (REVERSED, "NOT_GOOD", "reversed"),
    ):
        yield _slip(f"slip of {number}", _made(shown, number), expect, why)
    yield _slip("a stale slip", _made(shown, FIRST), "STALE", "too old", now=NOW + 600)
    settled, honest = Settled(shown), _made(shown, FIRST)
    for name, made, why in (
        ("reimbursed in part", settled.partly, "300 settled, 500 locked"),
        ("a lock that is over", settled.over, "it counts no more"),
    ):
        yield _slip(name, made, "GOOD", why)
    sums = honest.sums
    forged = {
        "more is left": replace(honest, sums=replace(sums, left_cash=sums.left_cash + 1)),
        "less is settled": replace(settled.partly, sums=sums),
        "a lock forgotten": replace(
            settled.partly, sums=replace(settled.partly.sums, locked=0, locked_until=None)
        ),
        "another bill's slip": replace(honest, bill=shown.bill_id(SECOND)),
        "another's row": replace(honest, state=_made(shown, SECOND).state),
    }
    for name, made in forged.items():
        yield _slip(name, made, FALSE, "the sums are those of the row")
    members: dict[str, Any] = json.loads(encode(honest))
    for name, changed in {
        "a member more": members | {"by": "insurer-01"},
        "no sums": {n: v for n, v in members.items() if n != "sums"},
    }.items():
        yield Case(f"slip: {name}", "slip", encode(changed), UNREADABLE, "closed", now=NOW)


class Settled:
    """The chain gone on: of the first bill 300 are settled, and 500 are locked."""

    def __init__(self, shown: Shown) -> None:
        chain = Shown().chain
        until = format_instant(START + 200)
        row = dict(chain.rows[row_key("bills.bill", shown.bill_id(FIRST))])
        del row["salt"]
        lock = {"amount": 500, "cash": 100, "until": until, "who": builtins(bytes(32))}
        amounts = row["amounts"] | {"settled": 300, "settled_cash": 200}
        members = {n: v for n, v in row.items() if n not in ("kind", "id")}
        chain.send([(2, 1)])
        chain.put(
            "bills.bill",
            shown.bill_id(FIRST),
            **(members | {"amounts": amounts, "claims": 1, "lock": lock, "version": 1}),
        )
        made = []
        for at in (START + 180, START + 240):
            chain.send([(3, at - START)])
            chain.block(at)
            made.append(_of(chain, shown.bill_id(FIRST), at))
        self.partly, self.over = made


def _made(shown: Shown, number: int) -> SplitSlip:
    return _of(shown.chain, shown.bill_id(number), START + 120)


def _of(chain: Chain, bill: str, at: int) -> SplitSlip:
    key = row_key("bills.bill", bill)
    sums = sums_of(narrow(chain.rows[key], Bill), at)
    document = chain.document(key, note_of(chain.checkpoint(), fresh_times()))
    return SplitSlip(format="tallystick/split-slip/v1", bill=bill, sums=sums, state=document)


def _slip(name: str, made: SplitSlip, expect: str, why: str, now: int = NOW) -> Case:
    return Case(name, "slip", encode(made), expect, why, now=now)
