"""The OpenAPI 3.1 document of a node, made of the same table as its routes.

Invariant: every entry that is served is in the document, with the records that it reads and writes.
See docs/spec/http.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.protocol.canonical import schemas
from tallystick.web.endpoint import JSON, Access, Endpoint

TEMPLATE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.PUBLIC: [],
    Access.OWN: [],
    Access.SIGNED: [{"signature": []}, {"pass": []}],
}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:tallystick:reason:"},
        "title": {"type": "string"},
        "title_zh": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable: docs/spec/refusals.md"},
        "path": {"type": "string", "description": "the field at fault"},
        "detail": {"type": "string"},
        "todo": {"type": "string", "description": "what to do"},
        "todo_zh": {"type": "string"},
        "instance": {"type": "string", "description": "of a fault: the request, in the log"},
    },
}


_ONE, _MORE = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,139}$", "^[A-Za-z0-9][A-Za-z0-9._:/-]{0,139}$"
"""Of texts within a path: whatever else is written there is not there."""
_BASE64 = "[A-Za-z0-9+/]"
_SPELLED = {
    24: f"^{_BASE64}{{21}}[AQgw]==$",
    44: f"^{_BASE64}{{42}}[AEIMQUYcgkosw048]=$",
    88: f"^{_BASE64}{{85}}[AQgw]==$",
}
"""16, 32 and 64 bytes in their one spelling, by the number of characters."""
_SPELLED_ANY = f"^(?:{_BASE64}{{4}})*(?:{_BASE64}[AQgw]==|{_BASE64}{{2}}[AEIMQUYcgkosw048]=)?$"
STATUSES = {
    202: "it is on the ledger, and the proof is not ready; ask again as Retry-After says",
    400: "not of the form that is asked for: `path` names the field",
    401: "nobody is known to ask this: no signature or pass, or one that does not hold",
    403: "whoever asks may not",
    404: "there is no such thing, or no such address",
    408: "the request did not come in time",
    409: "it is so already, with other content",
    413: "the body is too large",
    414: "the address is too long",
    415: "a body of another type is asked for",
    422: "a signature or proof in it does not hold, or a rule says no",
    429: "too much at once; Retry-After says when to ask again",
    431: "the headers are too large or too many",
    500: "a fault of this server; `instance` stands in its log",
    503: "busy, or stopped; nothing was taken where Retry-After stands",
}
"""Whatever is not 200 or 204 is a problem document, also 202: nothing of it can be used yet."""
_ALWAYS = (400, 408, 413, 414, 431, 500, 503)
_RETRIED = (202, 429, 503)


def statuses_of(each: Endpoint) -> dict[int, str]:
    """What an entry may answer beside its answer, and what each means there."""
    found = set(_ALWAYS)
    if each.access is Access.SIGNED:
        found |= {401, 403, 429}
    if each.body is not None:
        found.add(415)
    if "{" in each.path:
        found.add(404)
    if {"wait", "proof"} & set(each.query.__struct_fields__):
        found.add(202)
    return {status: STATUSES[status] for status in sorted(found)} | dict(each.answers)


def document(
    endpoints: Sequence[Endpoint], version: str, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The document, as plain values; `more`: path items of what is served beside the table."""
    kinds = _kinds(endpoints)
    found, components = schemas(kinds, TEMPLATE)
    schema_of = dict(zip(kinds, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        path = _PARAMETER.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, schema_of, components)
    queries = {_name_of(schema_of[each.query]) for each in endpoints}
    shown = {name: each for name, each in components.items() if name not in queries}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallystick",
            "version": version,
            "summary": "A ledger for public records",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _plain(paths) | dict(more or {}),
        "components": {
            "schemas": _plain(shown) | {"Problem": PROBLEM},
            "responses": {str(status): _problem(status) for status in STATUSES},
            "securitySchemes": {
                "signature": {
                    "type": "http",
                    "scheme": "signature",
                    "description": "RFC 9421 by an operating key, a keeper's or a bill's key",
                },
                "pass": {"type": "http", "scheme": "bearer", "bearerFormat": "tallystick/pass/v1"},
            },
        },
    }


def open_to_all(
    name: str,
    media: str,
    summary: str,
    *,
    parameters: Sequence[tuple[str, str]] = (),
    missing: str | None = None,
) -> dict[str, Any]:
    """The path item of what anyone may GET: a page, a tile, a note.

    `parameters`: names in the path and patterns; `missing`: the media type of its 404, if any.
    """
    done = {"description": "done", "content": {media: {"schema": _content(media, {})[1]}}}
    usual: dict[str, Any] = {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in _ALWAYS
    }
    if missing is not None:
        there = {missing: {"schema": {"type": "string"}}}
        usual["404"] = {"description": STATUSES[404], "content": there}
    operation = {
        "operationId": name,
        "summary": summary,
        "tags": ["public"],
        "parameters": [
            {
                "name": each,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": pattern},
            }
            for each, pattern in parameters
        ],
        "responses": {"200": done} | usual,
        "security": [],
    }
    return {"get": operation}


def _kinds(endpoints: Sequence[Endpoint]) -> list[type[Any]]:
    kinds: dict[type[Any], None] = {}
    for each in endpoints:
        for kind in (each.query, each.body, each.body_kind, each.answer):
            if isinstance(kind, type):
                kinds[kind] = None
    return list(kinds)


def _operation(
    each: Endpoint, schema_of: dict[type[Any], Any], components: dict[str, Any]
) -> dict[str, Any]:
    parameters = [_path_parameter(*found) for found in _PARAMETER.findall(each.path)]
    query = components[_name_of(schema_of[each.query])]
    operation: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "tags": [each.tag],
        "description": (each.run.__doc__ or "").strip(),
        "parameters": parameters + _query_parameters(query),
        "responses": _responses(each, schema_of),
        "security": _SECURITY[each.access],
    }
    if each.body is not None:
        media, schema = _content(each.body, schema_of)
        if each.body_kind is not None:
            schema = schema_of[each.body_kind]
        operation["requestBody"] = {"required": True, "content": {media: {"schema": schema}}}
    return operation


def _path_parameter(name: str, kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "pattern": _ONE if kind != "path" else _MORE}
    if kind == "int":
        schema = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(described: dict[str, Any]) -> list[dict[str, Any]]:
    required = described.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(schema)}
        for name, schema in described.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What may be left out of a query is left out: it has no word for nothing."""
    kinds = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: each for name, each in schema.items() if name not in ("anyOf", "default")}
    kind: dict[str, Any] = kinds[0]
    return rest | kind


def _responses(each: Endpoint, schema_of: dict[type[Any], Any]) -> dict[str, Any]:
    if each.answer is None:
        done: dict[str, Any] = {"204": {"description": each.answers.get(204, "done")}}
    else:
        media, schema = _content(each.answer, schema_of)
        done = {"200": {"description": "done", "content": {media: {"schema": schema}}}}
    for status, meaning in statuses_of(each).items():
        if status == 204:
            continue
        usual = {"$ref": f"#/components/responses/{status}"}
        done[str(status)] = (
            usual
            if meaning == STATUSES.get(status)
            else _problem(status) | {"description": meaning}
        )
    return done


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": TEMPLATE.format(name="Problem")}
    found: dict[str, Any] = {
        "description": STATUSES[status],
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status in _RETRIED:
        found["headers"] = {
            "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "seconds"}
        }
    return found


def _content(kind: type[Any] | str, schema_of: dict[type[Any], Any]) -> tuple[str, Any]:
    """The media type and the schema of a body."""
    if not isinstance(kind, str):
        return JSON, schema_of[kind]
    media = kind.partition(";")[0]
    return media, {} if media == JSON else {"type": "string"}


def _name_of(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _plain(schema: Any) -> Any:
    """The same for readers of JSON Schema, whose patterns are ECMA's, and which leaves base64 open.

    The canonical encoding has one spelling of bytes (docs/spec/encoding.md), and so has a pattern.
    """
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _plain(each) for name, each in schema.items()}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
    if found.get("contentEncoding") == "base64":
        low, high = found.get("minLength"), found.get("maxLength")
        found["pattern"] = _SPELLED[low] if low is not None and low == high else _SPELLED_ANY
    return found
