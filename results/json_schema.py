"""The record's JSON Schema (draft 2020-12), made from the dataclasses, for validators in other languages."""

import dataclasses
import types
import typing
from typing import Any

from results.record import SCHEMA_VERSION, Record
from results.validate import PROTOCOL


def json_schema() -> dict[str, Any]:
    """Return the schema of a record of the current version.

    It says what JSON Schema can say: keys, types, bounds of a score, form of a protocol. What relates two values (J&F and
    its parts, items and status, the recipe's hash) only `python -m results validate` checks.
    """
    schema = _object(Record)
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    schema["properties"]["protocol"]["pattern"] = f"^{PROTOCOL.pattern}$"
    schema["properties"]["created"]["description"] = "ISO 8601 time, UTC"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result record",
        "description": (Record.__doc__ or "").strip(),
        **schema,
    }


def _object(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    missing = dataclasses.MISSING
    fields = dataclasses.fields(cls)
    return {
        "type": "object",
        "properties": {field.name: _schema(hints[field.name]) for field in fields},
        "required": [f.name for f in fields if f.default is missing and f.default_factory is missing],
        "additionalProperties": False,
    }


def _schema(hint: Any) -> dict[str, Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return {}
    if dataclasses.is_dataclass(hint):
        return _object(hint)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if option is type(None) else _schema(option) for option in inner]}
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1])}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0])}
    return {"type": {float: "number", int: "integer", str: "string", bool: "boolean"}[hint]}
