"""Bodies by command: opened against their record, exported for the holder, never without a key."""

from __future__ import annotations

import json
from pathlib import Path

from counter import Counter, done, tally


def test_a_body_is_opened_against_its_record(standing: Counter) -> None:
    arguments = ("vault", "show", standing.folder / "vault", standing.bill(1))
    common = ("--key", standing.key("vault"), "--dir", standing.ledger)
    body = done(*arguments, *common, "--json").json["body"]
    assert (body["number"], body["issuer"]) == (1, "hospital-01")
    shown = done(*arguments, *common).out
    assert body["payer"]["name"] in shown and body["items"][0]["name"] in shown


def test_a_body_is_exported_for_its_holder_alone(standing: Counter, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    arguments = (standing.folder / "vault", standing.bill(2), "--key", standing.key("vault"))
    done("vault", "export", *arguments, "--output", file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_bytes())["format"] == "tallystick/body/v1"
    assert tally("vault", "export", *arguments, "--output", file).code == 2


def test_what_became_of_bills_is_listed_without_opening_them(standing: Counter) -> None:
    arguments = ("vault", "list", standing.folder / "vault", "--key", standing.key("vault"))
    assert done(*arguments, "--json").json == {"bodies": [], "owed": 0}
    (one,) = done(*arguments, standing.bill(3), "--json").json["bodies"]
    assert (one["bill"], one["state"], one["reversed"]) == (standing.bill(3), "recorded", False)


def test_no_vault_no_key_no_body(standing: Counter, tmp_path: Path) -> None:
    vault, key = standing.folder / "vault", standing.key("vault")
    common = ("--dir", standing.ledger, "--json")
    gone = tally("vault", "show", tmp_path / "gone", standing.bill(1), "--key", key, *common)
    assert (gone.code, gone.error["code"]) == (2, "cli.filenotfound")
    assert not (tmp_path / "gone").exists()
    none = tally("vault", "show", vault, standing.bill(9), "--key", key, *common)
    assert (none.code, none.error["code"]) == (3, "bills.bill_unknown")
    none = tally("vault", "list", vault, standing.bill(9), "--key", key, "--json")
    assert (none.code, none.error["code"]) == (2, "cli.no_body")
    done("keygen", tmp_path / "other.json", "--name", "other", "--kind", "vault")
    wrong = tally(
        "vault", "show", vault, standing.bill(1), "--key", tmp_path / "other.json", *common
    )
    assert wrong.code in (1, 5)
    signing = tally("vault", "show", vault, standing.bill(1), "--key", standing.key("log"), *common)
    assert (signing.code, signing.error["code"]) == (2, "cli.malformed")


def test_a_file_of_another_kind_is_named(counter: Counter) -> None:
    drafts = counter.drafts(30)
    named = ("--payer-id", "1", "--payer-id-type", "passport", "--dir", counter.ledger)
    for wrong in (
        tally("bills", "register-address", drafts, *named, *counter.office()),
        counter.act("finance", "bills", "relay", drafts),
    ):
        assert wrong.code == 2 and drafts.name in wrong.err
