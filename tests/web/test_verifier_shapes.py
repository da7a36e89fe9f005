"""The records of the JavaScript verifier are those of the Python code, field by field.

They are written by hand over there, as a second implementation would; this compares every name,
pattern, limit and default. See docs/spec/verifier.md.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import msgspec
import pytest
from browser import need
from verifying import HERE, MODULES

from tallystick.apps.bills.showing import Presentation
from tallystick.apps.bills.slip import SplitSlip
from tallystick.contracts.bills import body
from tallystick.contracts.bills.records import bills, holders
from tallystick.contracts.kit.grants import Authority
from tallystick.protocol import (
    entry,
    equivocation,
    receipt,
    row,
    statemap,
    status,
    transaction,
    trust,
)

RECORDS: dict[str, type[Any]] = {
    "shapes.mjs:trustPolicy": trust.TrustPolicy,
    "shapes.mjs:header": transaction.Header,
    "shapes.mjs:entry": entry.Entry,
    "shapes.mjs:blockLeaf": entry.BlockLeaf,
    "shapes.mjs:mapProof": statemap.MapProof,
    "shapes.mjs:stateProof": receipt.StateProof,
    "shapes.mjs:stateDocument": receipt.StateDocument,
    "shapes.mjs:statusDocument": status.StatusDocument,
    "shapes.mjs:receipt": receipt.Receipt,
    "shapes.mjs:row": row.Row,
    "shapes.mjs:two_roots": equivocation.TwoRoots,
    "shapes.mjs:other_prefix": equivocation.OtherPrefix,
    "shapes.mjs:two_leaves": equivocation.TwoLeaves,
    "shapes.mjs:hidden": equivocation.Hidden,
    "bills.mjs:bill": bills.Bill,
    "bills.mjs:issuer": bills.Issuer,
    "bills.mjs:billType": bills.BillType,
    "bills.mjs:consent": holders.Consent,
    "bills.mjs:mandate": holders.Mandate,
    "bills.mjs:authority": Authority,
    "bills.mjs:presentation": Presentation,
    "bills.mjs:splitSlip": SplitSlip,
    "bills.mjs:item": body.Item,
    "bills.mjs:detail": body.Detail,
    "bills.mjs:sources": body.Sources,
}


@pytest.fixture(scope="module")
def shapes() -> Any:
    command = [need("node"), str(HERE / "verifier_shapes.mjs"), str(MODULES)]
    made = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return json.loads(made.stdout, object_hook=_in_one_order)


def _in_one_order(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"values": sorted(value["values"])} if "values" in value else value


def test_each_is_compared(shapes: Any) -> None:
    assert sorted(shapes) == sorted(RECORDS)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_has_the_same_fields_in_both(shapes: Any, name: str) -> None:
    assert shapes[name] == shape_of(msgspec.inspect.type_info(RECORDS[name]))


def shape_of(kind: Any) -> dict[str, Any]:
    """A type of msgspec in the words of `canonical.mjs`."""
    found: dict[str, Any]
    match kind:
        case msgspec.inspect.StructType():
            fields = {each.encode_name: _field(each) for each in kind.fields}
            if isinstance(kind.tag, str):
                fields = {"proof": {"type": "literal", "values": [kind.tag]}} | fields
            found = {"type": "record", "fields": fields}
        case msgspec.inspect.IntType(ge=low, le=high, lt=below):
            found = {"type": "int", "min": low, "max": high if below is None else below - 1}
        case msgspec.inspect.StrType():
            found = _text(kind)
        case msgspec.inspect.BytesType(min_length=low, max_length=high):
            found = {"type": "bytes", "min": low or 0, "max": high}
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            limits = {"min": kind.min_length or 0, "max": kind.max_length}
            found = {"type": "list", "of": shape_of(kind.item_type), **limits}
        case msgspec.inspect.DictType(value_type=msgspec.inspect.AnyType()):
            found = {"type": "object"}
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            found = {"type": "dict", "key": shape_of(key), "of": shape_of(value)}
        case msgspec.inspect.LiteralType(values=values):
            found = {"type": "literal", "values": sorted(values)}
        case msgspec.inspect.BoolType():
            found = {"type": "bool"}
        case _:
            raise TypeError(kind)
    return found


def _text(kind: msgspec.inspect.StrType) -> dict[str, Any]:
    pattern = kind.pattern
    if pattern is not None:
        pattern = pattern.replace(r"\A", "^").replace(r"\Z", "$").replace("/", r"\/")
        pattern = pattern.replace(r"[a-z0-9.\/-]", "[a-z0-9./-]")  # a slash in a class needs none
    limits = {"min": kind.min_length or 0, "max": kind.max_length}
    return {"type": "str", "pattern": pattern, **limits}


def _field(field: msgspec.inspect.Field) -> dict[str, Any]:
    kind, absent = field.type, field.default
    if field.default_factory is not msgspec.NODEFAULT:
        absent = field.default_factory()
    if isinstance(kind, msgspec.inspect.UnionType):
        (kind,) = (each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType))
        assert absent is None
    if absent is msgspec.NODEFAULT:
        return shape_of(kind)
    absent = list(absent) if isinstance(absent, tuple) else absent
    return {"type": "optional", "of": shape_of(kind), "absent": absent}
