"""The OpenAPI 3.1 document of a node, made of the same table as its routes.

Invariant: every entry that is served is in the document, with the records that it reads and writes.
See docs/spec/http.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tallystick.protocol.canonical import Record, schemas
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
    },
}


def document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """The document, as plain values."""
    kinds = _kinds(endpoints)
    found, components = schemas(kinds, TEMPLATE)
    schema_of = dict(zip(kinds, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        path = _PARAMETER.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallystick",
            "version": version,
            "summary": "A ledger for public records",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components | {"Problem": PROBLEM},
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


def _kinds(endpoints: Sequence[Endpoint]) -> list[type[Any]]:
    kinds: dict[type[Any], None] = {}
    for each in endpoints:
        for kind in (each.query, each.body, each.answer):
            if isinstance(kind, type):
                kinds[kind] = None
    return list(kinds)


def _operation(
    each: Endpoint, schema_of: dict[type[Any], Any], components: dict[str, Any]
) -> dict[str, Any]:
    parameters = [_path_parameter(*found) for found in _PARAMETER.findall(each.path)]
    operation: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "tags": [each.tag],
        "description": (each.run.__doc__ or "").strip(),
        "parameters": parameters + _query_parameters(each.query, components),
        "responses": _responses(each, schema_of),
        "security": _SECURITY[each.access],
    }
    if each.body is not None:
        media, schema = _content(each.body, schema_of)
        operation["requestBody"] = {"required": True, "content": {media: {"schema": schema}}}
    return operation


def _path_parameter(name: str, kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if kind == "int":
        schema = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(kind: type[Record], components: dict[str, Any]) -> list[dict[str, Any]]:
    described = components.get(kind.__name__, {})
    required = described.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in described.get("properties", {}).items()
    ]


def _responses(each: Endpoint, schema_of: dict[type[Any], Any]) -> dict[str, Any]:
    if each.answer is None:
        done: dict[str, Any] = {"204": {"description": "done"}}
    else:
        media, schema = _content(each.answer, schema_of)
        done = {"200": {"description": "done", "content": {media: {"schema": schema}}}}
    problem = {"application/problem+json": {"schema": {"$ref": TEMPLATE.format(name="Problem")}}}
    for status, meaning in each.answers.items():
        done[str(status)] = {"description": meaning, "content": problem}
    done["default"] = {"description": "refused or failed", "content": problem}
    return done


def _content(kind: type[Any] | str, schema_of: dict[type[Any], Any]) -> tuple[str, Any]:
    """The media type and the schema of a body."""
    if not isinstance(kind, str):
        return JSON, schema_of[kind]
    media = kind.partition(";")[0]
    return media, {} if media == JSON else {"type": "string"}
