"""The verifier for the browser: plain modules in this folder, and the one file made out of them.

The modules are what is read, tested and reviewed; `bundle` puts each into a function of its own, in
the order of their imports, and writes nothing new. The page makes no request, so the file works
from a disk without a network; its policy lets it run this very script and nothing else.

Invariant: the bundle holds every line of the modules and no other code. See docs/spec/verifier.md.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files

START = "page.mjs"

_IMPORT = re.compile(r'^import \{ (.+) \} from "\./([a-z]+\.mjs)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:const|function|class) (\w+))", re.MULTILINE)
_REASONS = "export const REASONS = {};"
_POLICY = "CONTENT-SECURITY-POLICY"

Reasons = Mapping[str, tuple[str, str, str, str]]
"""By code of a refusal: what is wrong and what to do, in Chinese, then both in English."""


def bundle(reasons: Reasons | None = None) -> str:
    """The verifier as one HTML file, which explains refusals as `reasons` says."""
    script = "\n" + "".join(_wrapped(name, reasons or {}) for name in _in_order(START))
    style = "\n" + _read("style.css")
    if "</" in script or "</" in style:
        raise ValueError("a closing tag within the script or the style would end it")
    page = _read("index.html")
    for link, whole in (
        ('<link rel="stylesheet" href="style.css">', f"<style>{style}</style>"),
        (
            f'<script type="module" src="{START}"></script>',
            f'<script type="module">{script}</script>',
        ),
        (_POLICY, _security_policy(script, style)),
    ):
        if page.count(link) != 1:
            raise ValueError(f"the page must have {link} once")
        page = page.replace(link, whole)
    return page


def security_policy(page: str) -> str:
    """What the page allows itself, for the header of whoever serves it."""
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    if found is None:
        raise ValueError("a page without a policy")
    return f"{found[1]}; frame-ancestors 'none'"


def _security_policy(script: str, style: str) -> str:
    """No request, no other script or style, no text that becomes markup."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _wrapped(name: str, reasons: Reasons) -> str:
    """A module as a function that gives its exports; imports become what others gave."""
    source = _read(name)
    if _REASONS in source:
        told = json.dumps(dict(reasons), ensure_ascii=False, sort_keys=True).replace("</", "<\\/")
        source = source.replace(_REASONS, f"export const REASONS = {told};")
    exported = [found[2] for found in _EXPORT.finditer(source)]
    body = _IMPORT.sub(_as_given, source)
    body = _EXPORT.sub(r"\1", body)
    left = re.search(r"^(import|export)\b.*$", body, re.MULTILINE)
    if left is not None:
        raise ValueError(f"{name}: {left[0]}")
    return (
        f"const {_given(name)} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();\n"
    )


def _as_given(found: re.Match[str]) -> str:
    names = re.sub(r" as ", ": ", found[1])
    return f"const {{ {names} }} = {_given(found[2])};\n"


def _given(name: str) -> str:
    return f"${name.removesuffix('.mjs')}"


def _in_order(name: str, before: dict[str, None] | None = None) -> Iterator[str]:
    """The modules that `name` needs, each once and after those that it needs itself."""
    seen = {} if before is None else before
    if name in seen:
        return
    seen[name] = None
    for found in _IMPORT.finditer(_read(name)):
        yield from _in_order(found[2], seen)
    yield name


@cache
def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
