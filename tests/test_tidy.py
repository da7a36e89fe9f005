"""The house rules that no tool knows: sizes, docstrings, exactness of the rules, reasons explained.

Invariant: each rule is checked over every file that exists, so that a new room obeys from its
first day. See CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
ALL_FILES = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
RULES = [
    path
    for room in ("contracts", "protocol")
    for path in sorted((ROOT / "src" / "tallystick" / room).rglob("*.py"))
]
REFUSALS_PAGE = ROOT / "docs" / "spec" / "refusals.md"

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500
THIS_FILE_LINES_MAX = 150

IN_ORDER = {"enumerate", "iter", "list", "map", "next", "reversed", "tuple", "zip", "join"}
"""Callables that show in which order a set gives its members: that differs between two nodes."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def at(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def is_set(node: ast.AST) -> bool:
    """Whether an expression is a set at first sight: a display, a comprehension, `set(...)`."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return is_set(node.left) or is_set(node.right)
    return False


def walked(node: ast.AST) -> list[ast.AST]:
    """The expressions whose order this node depends on."""
    match node:
        case ast.For(iter=iterated) | ast.comprehension(iter=iterated):
            return [iterated]
        case ast.Starred(value=iterated) | ast.YieldFrom(value=iterated):
            return [iterated]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in IN_ORDER:
            return list(node.args)
    return []


def inexact(module: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Where a rule could give two members two results."""
    for node in ast.walk(module):
        match node:
            case ast.Constant(value=float() | complex()):
                yield node, "a float"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node, "true division; use // and say who gets the rest"
        for iterated in walked(node):
            if is_set(iterated):
                yield iterated, "the order of a set; use sorted()"


def reasons() -> Iterator[tuple[str, str]]:
    """Where each member of a subclass of `Reason` stands, and its value."""
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ClassDef):
                continue
            if "Reason" not in {ast.unparse(base).rpartition(".")[2] for base in node.bases}:
                continue
            for member in node.body:
                match member:
                    case ast.Assign(value=ast.Constant(value=str() as value)):
                        yield at(path, member), value


def test_functions_fit_on_a_page() -> None:
    too_long = [
        f"{at(path, node)}: {node.name} has {lines} lines"
        for path in ALL_FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_files_fit_in_the_head() -> None:
    lengths = {path: path.read_text(encoding="utf-8").count("\n") for path in ALL_FILES}
    assert [f"{p.relative_to(ROOT)}: {n}" for p, n in lengths.items() if n > FILE_LINES_MAX] == []
    assert lengths[Path(__file__).resolve()] <= THIS_FILE_LINES_MAX


def test_every_module_says_what_lives_there() -> None:
    assert [at(path, tree(path)) for path in SOURCES if not ast.get_docstring(tree(path))] == []


def test_rules_and_bytes_are_exact() -> None:
    found = [f"{at(path, node)}: {why}" for path in RULES for node, why in inexact(tree(path))]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "x = 0.5",
        "x = a / b",
        "x /= 2",
        "for x in {1, 2}: pass",
        "x = [y for y in set(z)]",
        "x = list(set(a) | b)",
        "x = ','.join({str(y) for y in z})",
        "x = [*frozenset(y)]",
    ],
)
def test_the_check_of_exactness_sees(line: str) -> None:
    assert list(inexact(ast.parse(line)))


def test_every_refusal_is_explained() -> None:
    values = [value for _, value in reasons()]
    assert len(values) == len(set(values)), "a word has one meaning"
    page = REFUSALS_PAGE.read_text(encoding="utf-8") if REFUSALS_PAGE.exists() else ""
    assert [f"{where}: {value}" for where, value in reasons() if f"`{value}`" not in page] == []


def test_the_lock_names_public_addresses_only() -> None:
    urls = re.findall(r"[a-z]+://[^/\"]*", (ROOT / "uv.lock").read_text(encoding="utf-8"))
    assert set(urls) == {"https://files.pythonhosted.org", "https://pypi.org"}
