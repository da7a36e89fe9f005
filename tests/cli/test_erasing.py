"""Erasure by command: ordered, carried out, counted; copies of vaults; the log of reads."""

from __future__ import annotations

import shutil
from pathlib import Path

from canaries import everything_in
from counter import Answer, Counter, done, tally

from tallystick.apps.bills.addresses import FOLDER, TRIES_MAX, Addresses
from tallystick.keyring import load_vault_key
from tallystick.vault import Archive

VAULT = ("vault", "erase")
GIVEN = ("--action", "bills.erased", "--source", "founding.0")


def order(counter: Counter, number: int, *more: object) -> Answer:
    given = counter.act("finance", "members", "give", "hospital-01", *GIVEN)
    assert given.code == 0, given.err
    document = counter.folder / "order.pdf"
    document.write_bytes(b"the court has decided")
    return counter.act(
        "finance",
        *(*VAULT, "order", counter.bill(number), "--order", document, "--reason", "court_order"),
        *("--basis", "legal_order", "--copy", "hospital-01", *more),
    )


def run(counter: Counter, *more: object) -> Answer:
    vault = counter.folder / "vault"
    return counter.act(
        "hospital-01", *(*VAULT, "run", vault, "--vault-key", counter.key("vault"), *more)
    )


def status(counter: Counter, *more: object) -> list[dict[str, object]]:
    found: list[dict[str, object]] = done(
        *(*VAULT, "status", *more, "--dir", counter.ledger, "--json")
    ).json["erasures"]
    return found


def kept(counter: Counter, verb: str, *more: object) -> Answer:
    return tally("vault", verb, *more, "--key", counter.key("vault"))


def test_a_body_is_ordered_to_be_erased_and_is(counter: Counter) -> None:
    vault, bill = counter.folder / "vault", counter.bill(2)
    mine = counter.folder / "mine.json"
    assert kept(counter, "export", vault, bill, "--output", mine).code == 0
    assert run(counter).json["erased"] == [] and status(counter) == []
    assert order(counter, 2).code == 0
    (one,) = status(counter, bill)
    assert (one["done"], one["known"], one["state"]) == (0, 1, "ordered")
    assert run(counter, "--dry-run").json["erased"] == [bill]
    answer = run(counter)
    assert (answer.code, answer.json["erased"], answer.json["acknowledged"]) == (
        *(0, [bill]),
        [bill],
    )
    assert status(counter, "--unfinished") == []
    (one,) = status(counter)
    assert (one["bill"], one["done"], one["state"], one["reason"]) == (
        *(bill, 1),
        *("done", "court_order"),
    )
    table = done(*VAULT, "status", "--dir", counter.ledger).out
    assert "1 of 1" in table and bill in table
    shown = kept(counter, "show", vault, bill, "--dir", counter.ledger, "--json")
    assert (shown.code, shown.error["code"]) == (3, "cli.body_erased")
    again = kept(counter, "export", vault, bill, "--output", counter.folder / "again.json")
    assert again.code == 3 and not (counter.folder / "again.json").exists()
    listed = kept(counter, "list", vault, bill, "--json").json["bodies"]
    assert [each["state"] for each in listed] == ["erased"]
    assert done("doctor", counter.ledger).code == 0


def test_every_look_at_a_body_is_in_the_log_of_reads(counter: Counter, tmp_path: Path) -> None:
    vault, bill = counter.folder / "vault", counter.bill(1)
    asked = ("--dir", counter.ledger, "--reader", "auditor", "--purpose", "audit")
    assert kept(counter, "show", vault, bill, *asked).code == 0
    assert kept(counter, "export", vault, bill, "--output", tmp_path / "mine.json").code == 0
    assert order(counter, 1).code == 0 and run(counter).code == 0
    assert kept(counter, "show", vault, bill, *asked).code == 3
    reads = kept(counter, "reads", vault, bill, "--json").json["reads"]
    assert [(each["what"], each["outcome"]) for each in reads] == [
        ("read", "accepted"),
        ("exported", "accepted"),
        ("erased", "accepted"),
        ("refused", "cli.body_erased"),
    ]
    assert (reads[0]["who"], reads[0]["why"]) == ("auditor", "audit")
    assert reads[1]["who"], "whoever runs it"
    assert "auditor" in kept(counter, "reads", vault, bill).out
    assert kept(counter, "reads", vault, counter.bill(9), "--json").json["reads"] == []
    assert b"auditor" not in everything_in(vault)


def test_a_backup_comes_back_without_what_was_erased(counter: Counter) -> None:
    vault, away = counter.folder / "vault", counter.folder / "away"
    copy = counter.folder / "key-disk" / "keys.db"
    copy.parent.mkdir()
    secret = load_vault_key(counter.key("vault")).secret
    with Addresses.open(vault / FOLDER, secret) as addresses:
        addresses.use_try("33060126:0000000001")
    assert kept(counter, "backup", vault, "--output", away, "--keys-to", copy).code == 0
    assert sorted(path.name for path in away.iterdir()) == [FOLDER, "bodies.db"]
    listed = kept(counter, "forget-keys", vault, "--json").json
    assert listed == {"copies": [str(copy)]}
    shutil.copy(copy, counter.folder / "hoarded.db")
    assert order(counter, 2).code == 0 and run(counter).code == 0
    shutil.rmtree(vault)
    for keys in (copy, counter.folder / "hoarded.db"):
        back = counter.folder / f"back-{keys.stem}"
        named = ("--keys", keys, "--output", back, "--org", "hospital-01", "--dir", counter.ledger)
        assert kept(counter, "restore", away, *named).code == 0
        gone = kept(counter, "show", back, counter.bill(2), "--dir", counter.ledger)
        with Addresses.open(back / FOLDER, secret) as addresses:
            assert addresses.tries_left("33060126:0000000001") == TRIES_MAX - 1
        there = kept(counter, "show", back, counter.bill(1), "--dir", counter.ledger)
        assert (gone.code, there.code) == (3, 0), gone.err + there.err


def test_what_is_left_somewhere_is_said_and_can_be_given_up(counter: Counter) -> None:
    vault, copy = counter.folder / "vault", counter.folder / "key-disk" / "keys.db"
    copy.parent.mkdir()
    away = counter.folder / "away"
    assert kept(counter, "backup", vault, "--output", away, "--keys-to", copy).code == 0
    shutil.rmtree(copy.parent)
    assert order(counter, 3).code == 0
    answer = run(counter)
    assert (answer.code, answer.json["waiting"]) == (4, [counter.bill(3)])
    assert "out of reach" in answer.json["details"][0]
    plain = tally(
        *(*VAULT, "run", vault, "--vault-key", counter.key("vault"), "--dir", counter.ledger),
        *("--key", counter.key("hospital-01"), "--log-key", counter.key("log")),
    )
    assert plain.code == 4 and "something is left" in plain.out
    assert kept(counter, "forget-keys", vault, copy).code == 0
    assert run(counter).json["acknowledged"] == [counter.bill(3)]
    assert run(counter, "--vault-key", counter.key("vault")).code == 2


def test_copies_that_would_undo_it_are_not_made(counter: Counter, tmp_path: Path) -> None:
    vault, away = counter.folder / "vault", tmp_path / "away"
    beside = kept(counter, "backup", vault, "--output", away, "--keys-to", away / "keys.db")
    assert beside.code == 2 and not away.exists()
    none = kept(counter, "forget-keys", vault, tmp_path / "keys.db")
    assert none.code == 2 and "cli.no_copy" in none.err
    other = kept(counter, "backup", tmp_path, "--output", away)
    assert other.code == 2
    nowhere = kept(counter, "backup", vault, "--output", away, "--keys-to", tmp_path / "no/keys.db")
    assert (nowhere.code, away.exists()) == (2, False)
    assert kept(counter, "forget-keys", vault, "--json").json == {"copies": []}, "none is awaited"


def test_a_copy_of_the_keys_that_is_not_there_is_no_damage(
    counter: Counter, tmp_path: Path
) -> None:
    away, back = tmp_path / "away", tmp_path / "back"
    assert kept(counter, "backup", counter.folder / "vault", "--output", away).code == 0
    named = ("--output", back, "--org", "hospital-01", "--dir", counter.ledger)
    missing = kept(counter, "restore", away, "--keys", tmp_path / "keys.db", *named)
    assert (missing.code, back.exists()) == (2, False) and "cli.filenotfound" in missing.err


def test_an_archive_is_named_by_the_folder_that_it_was_run_with(
    counter: Counter, tmp_path: Path
) -> None:
    folder, away = tmp_path / "archive", tmp_path / "away"
    folder.mkdir()
    secret = load_vault_key(counter.key("vault")).secret
    Archive[None].keeping(folder / "bodies", secret).close()
    done("vault", "backup", folder, "--output", away, "--vault-key", counter.key("vault"))
    assert (away / "bodies.db").exists()
