"""The pages hold together: links lead somewhere, what they name exists, nothing is left out.

Invariant: each check runs over every page that exists, so that a new page obeys from its first day.
See docs/spec/README.md.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
VECTORS = ROOT / "tests" / "vectors"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
SOURCES = sorted(
    path
    for part in ("src", "tests", "examples", "benchmarks")
    for path in (ROOT / part).rglob("*.py")
)
SPEC_PAGES = sorted((DOCS / "spec").glob("*.md"))
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))

ADR_LINES_MAX = 50
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
MACHINE = re.compile(r"(?<![\w.~-])/(home|root|Users|work|tmp|mnt|srv|var)/|[A-Z]:\\")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def prose(path: Path) -> str:
    """A page without its code, where brackets are no links."""
    return CODE.sub("", FENCE.sub("", text(path)))


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors that GitHub gives the headings of a page."""
    seen: Counter[str] = Counter()
    found = []
    for heading in HEADING.findall(FENCE.sub("", text(path))):
        plain = LINK.sub(lambda link: link[0][1 : link[0].index("]")], heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def broken(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere; those to other sites are not followed."""
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        wrong = anchor and (
            there.suffix != ".md" or not there.exists() or anchor not in anchors(there)
        )
        if not there.exists() or wrong:
            yield target


def module_docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(text(path), filename=str(path))) or ""


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    """The tests in a file, those of a state machine included."""
    found = []
    for node in ast.walk(ast.parse(text(path))):
        match node:
            case ast.FunctionDef(name=called) | ast.ClassDef(name=called):
                found.append(called)
            case ast.Assign(targets=[ast.Name(id=called)]):
                found.append(called)
    return frozenset(called for called in found if called.lower().startswith("test"))


def test_links_and_anchors_resolve() -> None:
    assert len(PAGES) > 20
    assert [f"{name(page)}: {target}" for page in PAGES for target in broken(page)] == []


def test_broken_links_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` c\n\n[1](#a-b-c) [2](#gone) [3](gone.md) ![4](x.svg) `[5](no.md)`\n"
        "[6](page.md#a-b-c) [7](page.md#d) [8](https://example.org/none)\n"
    )
    assert list(broken(page)) == ["#gone", "gone.md", "x.svg", "page.md#d"]


def test_no_page_names_a_path_of_a_machine() -> None:
    assert [
        f"{name(page)}: {found[0]}" for page in PAGES for found in MACHINE.finditer(text(page))
    ] == []
    assert MACHINE.search("in /home/someone/x") and not MACHINE.search("see docs/work/x")


def test_every_page_that_a_module_points_to_exists() -> None:
    pointed = [
        (name(path), page)
        for path in SOURCES
        for page in re.findall(r"\b(?:docs/[\w/.-]+\.md|[A-Z]+\.md)\b", module_docstring(path))
    ]
    assert len(pointed) > 50
    assert [f"{path}: {page}" for path, page in pointed if not (ROOT / page).exists()] == []


def test_every_spec_page_is_listed_and_names_vectors_that_exist() -> None:
    listed = set(LINK.findall(text(DOCS / "spec" / "README.md")))
    assert [page.name for page in SPEC_PAGES if page.name not in listed | {"README.md"}] == []
    folders = "|".join(sorted(path.name for path in VECTORS.iterdir() if path.is_dir()))
    named = [
        (name(page), found)
        for page in SPEC_PAGES
        for found in re.findall(rf"`((?:{folders})/[\w./-]*)`", text(page))
    ]
    assert len(named) > 20
    assert [f"{page}: {path}" for page, path in named if not (VECTORS / path).exists()] == []
    mentioned = {path for _, path in named}
    modules = [f"modules/{path.name}" for path in (VECTORS / "modules").iterdir()]
    assert [path for path in modules if path not in mentioned] == []


def test_every_context_and_format_is_on_a_page() -> None:
    said = "".join(text(page) for page in (DOCS / "spec").rglob("*.md"))
    core = [path for path in SOURCES if (ROOT / "src") in path.parents]
    core = [path for path in core if not {"apps", "cli"} & set(path.parts)]
    used = {one for path in core for one in re.findall(r"tallystick/[a-z-]+/v\d+", text(path))}
    assert len(used) > 20 and sorted(one for one in used if one not in said) == []


def test_the_index_of_decisions_is_complete() -> None:
    index = text(DOCS / "adr" / "README.md")
    assert sorted(LINK.findall(index.partition("## ")[0]))[:-1] == [page.name for page in DECISIONS]
    for number, page in enumerate(DECISIONS, start=1):
        title = HEADING.search(text(page))
        assert title is not None
        said = f"{number:04d}: "
        assert page.name.startswith(f"{number:04d}-") and title[1].startswith(said), page.name
        assert f"| [{number:04d}]({page.name}) | {title[1].removeprefix(said)} |" in index
        assert len(text(page).splitlines()) <= ADR_LINES_MAX, page.name
        for part in ("\nStatus: ", "\n## Context", "\n## Options", "\n## Decision", "\n- Bad: "):
            assert part in text(page), f"{page.name} lacks {part.strip()}"


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    asked += [
        one for extra in project["project"]["optional-dependencies"].values() for one in extra
    ]
    asked += project["build-system"]["requires"]
    names = [re.split(r"[^\w-]", one)[0] for one in asked]
    index = text(DOCS / "adr" / "README.md")
    assert [one for one in names if f"`{one}`" not in index] == []


def test_promises_are_held_by_tests_that_exist() -> None:
    page = text(DOCS / "threat-model.md")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", page)
    assert len(named) > 40
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (ROOT / "tests" / path).exists() or test not in names_of_tests(ROOT / "tests" / path)
    ]
    assert missing == []


def test_the_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", text(ROOT / "README.md"), re.DOTALL)
    receipt = VECTORS / "receipts" / "pass" / "036-status-unasked.json"
    (tmp_path / "receipt.json").write_bytes(receipt.read_bytes())
    (tmp_path / "trust.json").write_bytes((VECTORS / "policies" / "trust.json").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert (
        len(lines) == 16
        and lines[0].startswith("1 item hash ")
        and lines[-1].startswith("ACCEPTED ")
    )


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_of_a_page_exist_in_the_makefile(page: str) -> None:
    makefile = text(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", text(ROOT / page))) - {"up"}
    assert named >= {"test"} and named <= targets
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None and set(phony[1].split()) == targets - {"phony"}
    assert set(re.findall(r"make ([a-z]+) ", makefile)) >= targets - {"help"}
