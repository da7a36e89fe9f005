"""`tally present`, `tally bills slip`, and `tally verify` of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from acts import nonce
from counter import Counter, done, tally

from tallystick.apps.bills.fields import make_fields
from tallystick.apps.bills.holders import bill_key, derive_holder_key
from tallystick.apps.bills.presentation import WARNINGS
from tallystick.apps.bills.presenting import Basis, write_basis
from tallystick.cli.inputs import load_signer, load_vault
from tallystick.cli.presented import SHOWN_STEPS_ZH, WARNINGS_TEXT
from tallystick.cli.reading import reading
from tallystick.contracts.bills.items.holders import (
    Act,
    GiveConsent,
    Revoke,
    SaidConsent,
    SaidRevoke,
)
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.kit.acts import Said, act_id, act_message
from tallystick.engines.clock import Clock
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.node import Node
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant
from tallystick.vault import Vault

PATTERNS = ("items/*", "payer/name")
READER = ("--for", "finance", "--purpose", "audit")


class Holder:
    """Whoever has the key of a counter's first bill."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.bill = counter.bill(1)
        with reading(counter.ledger) as view:
            row = find_bill(view, self.bill)
        assert row is not None
        assert row.root is not None
        vault = load_vault(counter.key("vault"), None)
        self.key = bill_key(derive_holder_key(vault.secret), row.root)
        assert self.key.commitment == row.holder

    def _relay(self, action: str, made: Any, said: Said, **fields: Any) -> str:
        signer: KeySigner = signer_from_seed(self.key.seed, name="bill")
        clock = Clock()
        with Node.open(
            self.counter.ledger, load_signer(self.counter.key("log"), None), clock=clock
        ) as node:
            message = act_message(node.network, f"{action}/1", said)
            act = Act(key=signer.public_key, salt=self.key.salt, signature=signer.sign(message))
            item: Item = made(nonce=nonce(1), said=said, act=act, **fields)
            relay = load_signer(self.counter.key("finance"), None)
            done_ = node.act(relay, "finance", f"{action}/1", [item])
            assert list(done_.outcomes) == ["accepted"]
        self.counter.keep()
        return act_id(message)

    def consent(self) -> Path:
        """A consent for finance to audit; the file that opens it."""
        fields = make_fields(nonce(7), PATTERNS)
        said = SaidConsent(
            nonce=nonce(1),
            bill=self.bill,
            bound=0,
            reader="finance",
            purpose="audit",
            fields=fields.digest,
            until=format_instant(int(Clock().now()) + 86_400),
        )
        given = self._relay("bills.consent", GiveConsent, said)
        path = self.counter.folder / "basis.json"
        path.write_bytes(write_basis(Basis(consent=given, fields=fields)))
        self.given = given
        return path

    def revoke(self) -> None:
        self._relay(
            "bills.revoke", Revoke, SaidRevoke(nonce=nonce(2), of=self.given), kind="consent"
        )

    def present(self, output: Path, *more: object, fields: tuple[str, ...] = PATTERNS) -> Any:
        named = [each for pattern in fields for each in ("--fields", pattern)]
        return tally(
            *("present", "--bill", self.bill, "--to", "finance", "--purpose", "audit", *named),
            *(*self.counter.office(), "--dir", self.counter.ledger, "--out", output, *more),
            *("--log-key", self.counter.key("log")),
        )


@pytest.fixture
def holder(counter: Counter) -> Holder:
    return Holder(counter)


def test_a_presentation_is_good_for_its_reader_and_purpose_alone(
    holder: Holder, tmp_path: Path
) -> None:
    shown = tmp_path / "shown.json"
    answer = holder.present(shown, "--by", holder.consent())
    assert answer.code == 0, answer.err
    assert shown.stat().st_mode & 0o077 == 0
    trust = ("--trust", holder.counter.trust)
    answer = tally("verify", shown, *READER, *trust)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "GOOD: authentic, accepted and good"
    assert any("财政厅 Finance (finance)" in line for line in lines)
    assert any("items/0" in line for line in lines)
    assert [line.split()[0] for line in lines if line.split() and line.split()[0].isdigit()] == [
        str(n) for n in range(1, 22)
    ]
    assert lines[-1].startswith("Not proven: who shows this")
    for asked in (
        (),
        ("--for", "finance"),
        ("--purpose", "audit"),
        ("--for", "hospital-01", "--purpose", "audit"),
        ("--for", "finance", "--purpose", "claim"),
    ):
        answer = tally("verify", shown, *asked, *trust)
        assert answer.code == 3
        assert answer.out.startswith("NOT_FOR_YOU")
        assert "财政厅 Finance (finance)" in answer.out
        assert "items/0" not in answer.out


def test_scripts_read_what_is_shown(holder: Holder, tmp_path: Path) -> None:
    shown = tmp_path / "shown.json"
    assert holder.present(shown, "--by", holder.consent()).code == 0
    trust = ("--trust", holder.counter.trust, "--json")
    (document,) = tally("verify", shown, *READER, *trust).json["documents"]
    assert document["verdict"] == "good"
    assert document["remainder"] == 0
    assert document["right"] == "consent"
    assert document["fields"]["payer/name"]
    assert document["warnings"] == ["unbound", "not_archived"]
    (document,) = tally("verify", shown, *trust).json["documents"]
    assert (document["exit_code"], document["audience"]) == (3, "finance")
    assert "fields" not in document
    asked = (*READER, "--bill", holder.counter.bill(2), *trust)
    (document,) = tally("verify", shown, *asked).json["documents"]
    assert document["verdict"] == "other"


def test_a_revoked_consent_and_a_changed_leaf_are_told_apart(
    holder: Holder, tmp_path: Path
) -> None:
    by, shown = holder.consent(), tmp_path / "shown.json"
    assert holder.present(shown, "--by", by).code == 0
    trust = ("--trust", holder.counter.trust)
    document = json.loads(shown.read_bytes())
    document["disclosures"][0], document["disclosures"][1] = document["disclosures"][:2][::-1]
    false = tmp_path / "false.json"
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    false.write_text(text, encoding="utf-8")
    assert tally("verify", false, *READER, *trust).code == 1
    holder.revoke()
    assert tally("verify", shown, *READER, *trust).code == 0  # as of then, and not stale yet
    again = tmp_path / "again.json"
    assert holder.present(again, "--by", by).code == 0
    answer = tally("verify", again, *READER, *trust)
    assert answer.code == 3
    assert answer.out.startswith("NOT_GOOD")
    assert tally("verify", again, false, *READER, *trust).code == 1


def test_it_is_told_in_chinese(holder: Holder, tmp_path: Path) -> None:
    shown = tmp_path / "shown.json"
    assert holder.present(shown, "--by", holder.consent()).code == 0
    asked = (*READER, "--trust", holder.counter.trust, "--lang", "zh")
    answer = tally("verify", shown, *asked)
    assert answer.code == 0
    names = [line.split()[1] for line in answer.out.splitlines() if line[:1].isdigit()]
    assert names == list(SHOWN_STEPS_ZH.values())
    for word in ("出示对象", "用途", "未绑定", "未归档", "未证明"):
        assert word in answer.out
    assert tuple(WARNINGS_TEXT) == WARNINGS


def test_what_is_not_consented_or_not_there_is_refused(holder: Holder, tmp_path: Path) -> None:
    by, shown = holder.consent(), tmp_path / "shown.json"
    answer = holder.present(shown, "--by", by, fields=("payer/id_number",))
    assert answer.code == 1
    assert "payer/id_number" in answer.err
    assert holder.present(shown, "--by", by, fields=("items/99",)).code == 2
    assert holder.present(shown).code == 2  # by what right?
    assert holder.present(shown, "--by", by, "--statute").code == 2
    assert holder.present(shown, "--by", tmp_path / "none.json").code == 2
    assert not shown.exists()


def test_the_vaults_log_says_who_was_shown_what(holder: Holder, tmp_path: Path) -> None:
    by = holder.consent()
    assert holder.present(tmp_path / "shown.json", "--by", by).code == 0
    assert holder.present(tmp_path / "no.json", "--by", by, fields=("payer/id_number",)).code == 1
    key = load_vault(holder.counter.key("vault"), None).secret
    with Vault.open(holder.counter.folder / "vault", key) as vault:
        reads = vault.reads(holder.counter.code, 1)
        told = [(each.who, each.what, each.why, each.paths) for each in reads]
        assert told == [
            ("finance", "disclosed", "audit", list(PATTERNS)),
            ("finance", "refused", "not_consented", ["payer/id_number"]),
        ]
        vault.erase(holder.counter.code, 1, bytes(32), at=int(Clock().now()))
    erased = holder.present(tmp_path / "erased.json", "--by", by)
    assert erased.code == 2
    assert "cli.no_body" in erased.err
    assert "erased" in erased.err


def test_a_statute_shows_what_its_reader_is_granted(holder: Holder, tmp_path: Path) -> None:
    shown = tmp_path / "shown.json"
    assert holder.present(shown, "--statute", fields=("items/*", "details/*")[:1]).code == 0
    answer = tally("verify", shown, *READER, "--trust", holder.counter.trust)
    assert answer.code == 0
    assert "names no purpose" in answer.out
    other = tally(
        *("present", "--bill", holder.bill, "--to", "hospital-01", "--purpose", "audit"),
        *("--fields", "items/*", *holder.counter.office(), "--dir", holder.counter.ledger),
        *("--out", tmp_path / "other.json", "--statute"),
        *("--log-key", holder.counter.key("log")),
    )
    assert other.code == 2
    assert "cli.no_statute" in other.err


def test_a_split_slip_says_what_is_left(standing: Counter, tmp_path: Path) -> None:
    path = tmp_path / "slip.json"
    log_key = ("--log-key", standing.key("log"))
    done(
        *("bills", "slip", standing.bill(1), "--dir", standing.ledger, "--output", path),
        *log_key,
    )
    trust = ("--trust", standing.trust)
    answer = tally("verify", path, *trust)
    assert answer.code == 0
    assert "left_cash_account" in answer.out
    (document,) = tally("verify", path, *trust, "--json").json["documents"]
    assert document["sums"]["settled"] == 0
    assert document["sums"]["left_cash"] <= document["sums"]["total"]
    assert "可报销" in tally("verify", path, *trust, "--lang", "zh").out
    path.write_bytes(path.read_bytes().replace(b'"bill":"', b'"bill":"9', 1))
    assert tally("verify", path, *trust).code == 2
    printed = done("bills", "slip", standing.bill(1), "--dir", standing.ledger, *log_key)
    assert json.loads(printed.out)["format"] == "tallystick/split-slip/v1"
    none = tally("bills", "slip", standing.bill(9), "--dir", standing.ledger, *log_key)
    assert none.code == 3
