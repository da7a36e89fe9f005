"""The verifier in JavaScript gives what the one in Python gives: in Node, and in Chromium.

Every vector that the page reads, then documents made of them by chance: verdict, exit code, failing
step and findings are the same, or the test fails. See docs/spec/verifier.md.

Invariant: what is compared with is the verifier in Python itself.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import verifying
from browser import Chromium
from verifying import MODULES, OUTCOMES, VECTORS, Job

from tallystick.cli.presented import SHOWN_STEPS_ZH, WARNINGS_TEXT
from tallystick.cli.verdicts import VERDICTS_ZH
from tallystick.protocol.canonical import encode
from tallystick.verify import Verdict
from tallystick.web.verifier import bundle, security_policy

MADE = 1_200
"""Documents made by chance: with the vectors, some seconds in each of the three."""
FILE_LINES_MAX = 500


def module(name: str) -> Any:
    return json.loads((VECTORS / "modules" / f"{name}.json").read_bytes())


def made_by_chance() -> list[dict[str, Any]]:
    """Vectors with something changed: a byte, a member, a value put in the place of another."""
    chance = random.Random(20)
    usual = [case for case in verifying.cases() if len(case["data"]) < 20_000]
    passing = [case for case in usual if "/pass/" in case["file"]]
    made = []
    for n in range(MADE):
        case = chance.choice(passing if n % 4 else usual)
        change = _changed_value if n % 3 and case["data"][:1] == b"{" else _changed_bytes
        made.append(case | {"data": change(case["data"], chance)})
    return made


def _changed_bytes(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    at = chance.randrange(max(len(changed), 1))
    match chance.randrange(3):
        case 0:
            changed[at : at + 1] = chance.randbytes(1)
        case 1:
            del changed[at : at + chance.randrange(1, 4)]
        case _:
            changed[at:at] = chance.choice([b" ", b"0", b'"', b"\\u0041", b",", b"{}", b"\n\n"])
    return bytes(changed)


def _changed_value(data: bytes, chance: random.Random) -> bytes:
    """The canonical bytes of a document in which one value is another."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places = list(_places(document))
    holder, name = chance.choice(places)
    other_holder, other_name = chance.choice(places)
    match chance.randrange(6):
        case 0:
            del holder[name]
        case 1:
            holder[name] = copy.deepcopy(other_holder[other_name])
        case 2:
            holder[name] = chance.choice([None, 0, 1, -1, True, False, "", [], {}, 2**53, "x", 1.5])
        case 3 if isinstance(holder, dict):
            holder[chance.choice(["atomic", "version", "until", "other", "page", "a"])] = None
        case _ if isinstance(holder[name], int):
            holder[name] += chance.choice([-1, 1, 2**31, 2**32, 2**40])
        case _:
            holder[name] = copy.deepcopy(other_holder[other_name])
    try:
        return encode(document)
    except ValueError:  # half of a surrogate pair
        return data


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Where values stand: (what holds it, its name or index)."""
    named = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in list(named):
        yield value, name
        if isinstance(member, dict | list):
            yield from _places(member)


def wrong_twice() -> dict[str, Any]:
    """A presentation with a type too much and, where it is looked at later, with a fraction."""
    (case,) = (each for each in verifying.cases() if "a-type-too-much" in each["file"])
    document = json.loads(case["data"])
    document["issuer"]["state"]["row"]["below"] = 1.5
    return case | {"data": encode(document)}


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return [*verifying.cases(), wrong_twice(), *made_by_chance()]


@pytest.fixture(scope="module")
def expected(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [verifying.in_python(case) for case in documents]


@pytest.fixture(scope="module")
def job(documents: list[dict[str, Any]]) -> Job:
    encoding = module("encoding")
    texts = [text.encode() for text in encoding["canonical"]]
    texts += [case["text"].encode() for case in encoding["malformed"]]
    texts += [bytes.fromhex(text) for text in encoding["malformed_bytes"]]
    return verifying.job_of(documents) | {
        "texts": [verifying.base64(text) for text in texts],
        "instants": [text for text, _ in encoding["instants"]] + encoding["no_instants"],
        "keys": module("keys"),
    }


def disagreements(
    documents: list[dict[str, Any]], expected: list[dict[str, Any]], found: list[dict[str, Any]]
) -> list[str]:
    """What differs. The text of a failure is for people, and so is where in a file it was."""
    wrong = []
    for case, said, got in zip(documents, expected, found, strict=True):
        names = [name for name in said if name != "detail"]
        if said["verdict"] != "FALSE":
            names.remove("path")
        wrong += [
            f"{case['file']}: {name} is {got[name]!r}, not {said[name]!r}: {got['detail']}"
            for name in names
            if got[name] != said[name]
        ]
    return wrong


def check(job: Job, answer: Any) -> None:
    """The modules' own vectors: encoding, instants, Ed25519."""
    encoding = module("encoding")
    good = len(encoding["canonical"])
    assert answer["texts"] == [None] * good + ["Malformed"] * (len(job["texts"]) - good)
    assert answer["instants"] == [seconds for _, seconds in encoding["instants"]] + [
        "Malformed" for _ in encoding["no_instants"]
    ]
    assert answer["keys"] == [
        None if case["valid"] else "VerificationFailed" for case in module("keys")
    ]


def test_the_vectors_are_enough() -> None:
    counts = Counter(case["file"].split("/")[1] for case in verifying.cases())
    assert counts["pass"] >= 50 and counts["fail"] >= 200
    for case in verifying.cases():
        said = verifying.in_python(case)
        errors = {"FALSE": "VerificationFailed", "UNREADABLE": "Malformed"}
        told = {"note": str(said["as_of"]), "equivocation": said["kind"]}
        found = errors.get(said["verdict"], told.get(case["kind"], said["verdict"]))
        assert (found, said["step"]) == (case["expect"], case.get("step")), case["file"]


def test_a_file_that_is_not_canonical_is_unreadable_whatever_else_is_wrong() -> None:
    assert verifying.in_python(wrong_twice())["verdict"] == "UNREADABLE"


def test_chance_makes_every_kind_of_outcome(expected: list[dict[str, Any]]) -> None:
    made = Counter(said["verdict"] for said in expected[-MADE:])
    assert min(made["FALSE"], made["UNREADABLE"]) > 200
    assert len(made) > 6 and {said["step"] for said in expected[-MADE:]} >= {2, 3, 5, 6, 7, 8, 13}


def test_node_agrees(
    documents: list[dict[str, Any]],
    expected: list[dict[str, Any]],
    job: Job,
    tmp_path: Path,
) -> None:
    answer = verifying.in_node(OUTCOMES, job, tmp_path)
    assert disagreements(documents, expected, answer["documents"]) == []
    check(job, answer)


def test_chromium_agrees_offline_and_asks_for_nothing(
    chromium: Chromium,
    documents: list[dict[str, Any]],
    expected: list[dict[str, Any]],
    job: Job,
    tmp_path: Path,
) -> None:
    answer = verifying.in_chromium(chromium, OUTCOMES, job, tmp_path)
    assert disagreements(documents, expected, answer["documents"]) == []
    check(job, answer)


def test_a_disagreement_is_seen(
    documents: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    other = copy.deepcopy(expected)
    other[0]["verdict"], other[1]["steps"] = "GOOD", []
    false = next(n for n, said in enumerate(expected) if said["verdict"] == "FALSE")
    other[false]["step"] = 1
    assert len(disagreements(documents, expected, other)) == 3


# ------------------------------------------------------------------------------------ the bundle


def test_the_bundle_is_the_modules_and_nothing_else() -> None:
    page = bundle()
    script = re.search(r'<script type="module">(.*)</script>', page, re.DOTALL)
    assert script is not None and page.count("<script") == 1
    lines = Counter(line for line in script[1].splitlines() if line.strip())
    for path in sorted(MODULES.glob("*.mjs")):
        own = path.read_text(encoding="utf-8").splitlines()
        assert len(own) <= FILE_LINES_MAX, path.name
        for line in own:
            if line.strip() and not line.startswith("import "):
                lines[line.removeprefix("export ")] -= 1
    left = [line for line, count in lines.items() if count]
    assert [
        line
        for line in left
        if not re.match(r"const (\$\w+ = |\{ .+ \} = \$)|\}\)\(\);", line)
        and not line.startswith("return { ")
    ] == []


def test_the_page_has_no_way_out_and_no_way_for_markup_in() -> None:
    policy = security_policy(bundle())
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and "connect-src" not in policy
    assert "frame-ancestors 'none'" in policy and "require-trusted-types-for 'script'" in policy
    sources = {path.name: path.read_text(encoding="utf-8") for path in MODULES.glob("*.*js")}
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|import\("
    sinks += r"|fetch\(|XMLHttp|WebSocket|EventSource|sendBeacon"
    assert len(sources) > 15
    assert [name for name, text in sources.items() if re.search(sinks, text)] == []
    addresses = re.findall(r"https?://\S+", bundle())
    assert set(addresses) == {'http://www.w3.org/2000/svg";'}, "a name, which nobody asks for"


def test_refusals_are_explained_and_cannot_end_the_script() -> None:
    page = bundle({"bills.x": ("不", "</script>", "no", "do")})
    assert '"bills.x": ["不", "<\\/script>", "no", "do"]' in page and page.count("</script>") == 1


def test_it_says_what_the_command_line_says() -> None:
    words = (MODULES / "words.mjs").read_text(encoding="utf-8")
    said = [each.text for each in Verdict] + list(VERDICTS_ZH.values())
    said += [text for pair in WARNINGS_TEXT.values() for text in pair]
    said += [f'["{zh}", "{en}"]' for en, zh in SHOWN_STEPS_ZH.items()]
    assert [text for text in said if text not in words] == []
    codes = (MODULES / "verdict.mjs").read_text(encoding="utf-8")
    assert [each.name for each in Verdict if f"{each.name}: {each.exit_code}," not in codes] == []
