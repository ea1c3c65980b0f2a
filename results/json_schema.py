"""The record's JSON Schema (draft 2020-12), made from the dataclasses, for validators in other languages."""

from typing import Any

from pydantic import TypeAdapter

from results.record import Record


def json_schema() -> dict[str, Any]:
    """Return the schema of a record of the current version.

    It says what JSON Schema can say: keys, types, ranges, form of a protocol. What relates two values (J&F and its parts,
    items and status, the recipe's hash) only `python -m results validate` checks.
    """
    schema = TypeAdapter(Record).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "result record"}
