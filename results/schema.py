"""Records as JSON and back: types, ranges and keys are checked, and older schema versions brought up to date."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import PurePath
from typing import Any

from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse_json
from results.record import SCHEMA_VERSION, Record, is_storable

WHOLE = "the record"  # as messages call it


def record_from_json(text: bytes) -> Record:
    """Build a `Record` from JSON of any schema version that ever was.

    Raises UserError naming every key that is unknown (with the nearest valid one), missing, of the wrong type or out of
    range.
    """
    try:
        return parse_json(Record, text, whole=WHOLE)
    except UserError:
        current = _upgraded(text)
        if current is None:
            raise
        return parse_json(Record, current, whole=WHOLE)


def _upgraded(text: bytes) -> bytes | None:
    """Return a record of an older version as one of the current; None if it is of the current, or no record at all."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return None
    version = plain.get("schema_version", SCHEMA_VERSION) if isinstance(plain, dict) else SCHEMA_VERSION
    if version == SCHEMA_VERSION:
        return None
    if type(version) is not int or version not in UPGRADES:
        raise UserError(
            f"schema_version is {version!r}, but this program knows versions 1 to {SCHEMA_VERSION}; "
            "read the record with the program that wrote it, or a newer one"
        )
    for old in range(version, SCHEMA_VERSION):
        plain = UPGRADES[old](plain)
    return json.dumps(plain).encode()


def record_to_plain(value: Any, path: str = "") -> Any:
    """Return a record (or any part of it) as values that JSON has, always in the same order.

    Fields keep the dataclass's order, other mappings are sorted; tuples become lists, paths and numpy scalars plain
    values. Raises UserError naming the key of a value that JSON has no form for (NaN and infinities included).
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: record_to_plain(getattr(value, name), f"{path}.{name}") for name in _field_names(type(value))}
    if isinstance(value, Mapping):
        items = {str(key): item for key, item in value.items()}
        if len(items) != len(value):
            raise UserError(f"{path.lstrip('.')} has two keys that are the same as text; JSON keys are text")
        return {key: record_to_plain(items[key], f"{path}.{key}") for key in sorted(items)}
    if isinstance(value, (list, tuple)):
        return [record_to_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, PurePath):
        return str(value)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, (int, float)):
        if not is_storable(value):
            shown = value if isinstance(value, float) else f"a whole number of {value.bit_length()} bits"
            raise UserError(f"{path.lstrip('.')} is {shown}, which is no result; a record holds finite numbers")
        return value
    raise UserError(f"{path.lstrip('.')} is of {type(value)}, which JSON has no form for; store it as text or numbers")


def record_to_json(record: Record) -> bytes:
    """Return the bytes of a record's file, always the same for the same record; raises UserError as `record_to_plain`."""
    text = json.dumps(record_to_plain(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"it holds text that UTF-8 cannot express: {text[error.start :][:20]!a}") from None


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the sha256 of a resolved recipe in plain values (`record_to_plain`): of its JSON with sorted keys and
    no spaces."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _from_version_1(plain: dict[str, Any]) -> dict[str, Any]:
    """Version 2 added the recipe's hash, named seeds and the number of resampled units."""
    config = plain.get("config", {})
    return {**plain, "schema_version": 2, "config_sha256": config_hash(config) if isinstance(config, dict) else ""}


UPGRADES = {1: _from_version_1}


@cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))
