"""Records as plain JSON values and back: typed, strict about keys, and older schema versions brought up to date."""

import dataclasses
import difflib
import hashlib
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import PurePath
from typing import Any

from results.errors import ResultsError
from results.record import SCHEMA_VERSION, Record

Converter = Callable[[Any], Any]


class _Wrong(Exception):
    """A value of the wrong kind; each level on the way up puts its key in front of the path."""

    def __init__(self, message: str):
        super().__init__(message)
        self.path: list[str] = []
        self.message = message

    def __str__(self) -> str:
        return f"{'.'.join(reversed(self.path)) or 'the record'} {self.message}"


def record_from_plain(plain: Any) -> Record:
    """Build a `Record` from decoded JSON of any schema version that ever was.

    Raises ResultsError naming the key that is unknown (with the nearest valid one), missing or of the wrong type.
    """
    if not isinstance(plain, dict):
        raise ResultsError(f"a record is a JSON object, but this is {_kind(plain)}")
    version = plain.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= SCHEMA_VERSION:
        raise ResultsError(
            f"schema_version is {version!r}, but this program knows versions 1 to {SCHEMA_VERSION}; "
            "read the record with the program that wrote it, or a newer one"
        )
    for old in range(version, SCHEMA_VERSION):
        plain = UPGRADES[old](plain)
    try:
        return _converter(Record)(plain)
    except _Wrong as error:
        raise ResultsError(str(error)) from None


def record_to_plain(value: Any, path: str = "") -> Any:
    """Return a record (or any part of it) as values that JSON has, always in the same order.

    Fields keep the dataclass's order, other mappings are sorted; tuples become lists, paths and numpy scalars plain
    values. Raises ResultsError naming the key of a value that JSON has no form for (NaN and infinities included).
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: record_to_plain(getattr(value, name), f"{path}.{name}") for name in _field_names(type(value))}
    if isinstance(value, Mapping):
        items = {str(key): item for key, item in value.items()}
        if len(items) != len(value):
            raise ResultsError(f"{path.lstrip('.')} has two keys that are the same as text; JSON keys are text")
        return {key: record_to_plain(items[key], f"{path}.{key}") for key in sorted(items)}
    if isinstance(value, (list, tuple)):
        return [record_to_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, PurePath):
        return str(value)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise ResultsError(f"{path.lstrip('.')} is {value}, which is no result; a record holds finite numbers")
        return value
    raise ResultsError(f"{path.lstrip('.')} is {_kind(value)}, which JSON has no form for; store it as text or numbers")


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the sha256 of a resolved recipe in plain values (`record_to_plain`): of its JSON with sorted keys and
    no spaces."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown key or name: the nearest valid one, and all of them."""
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return (f"did you mean {near[0]!r}? " if near else "") + f"Valid: {', '.join(known)}"


def _from_version_1(plain: dict[str, Any]) -> dict[str, Any]:
    """Version 2 added the recipe's hash, named seeds and the number of resampled units."""
    config = plain.get("config", {})
    return {**plain, "schema_version": 2, "config_sha256": config_hash(config) if isinstance(config, dict) else ""}


UPGRADES = {1: _from_version_1}


@cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    if type(value) in names:
        text = repr(value)
        return f"{names[type(value)]} ({text if len(text) < 40 else text[:37] + '...'})"
    return f"{value!r} ({type(value).__name__})" if isinstance(value, (int, float)) else f"a {type(value).__name__}"


@cache
def _converter(hint: Any) -> Converter:
    """Return the function that checks and converts a decoded JSON value to `hint`; made once a type, so that
    thousands of records load in seconds."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return lambda value: value
    if dataclasses.is_dataclass(hint):
        return _object_converter(hint)
    if origin in (typing.Union, types.UnionType):
        (kind,) = (option for option in inner if option is not type(None))
        convert = _converter(kind)
        return lambda value: None if value is None else convert(value)
    if origin is typing.Literal:
        return _literal_converter(inner)
    if origin is dict:
        return _numbers_converter() if inner[1] is float else _mapping_converter(_converter(inner[1]))
    if origin is list:
        return _list_converter(_converter(inner[0]))
    return {float: _number, int: _integer, str: _text, bool: _truth}[hint]


def _object_converter(cls: type) -> Converter:
    hints = typing.get_type_hints(cls)
    converters = {field.name: _converter(hints[field.name]) for field in dataclasses.fields(cls)}
    missing = dataclasses.MISSING
    required = {f.name for f in dataclasses.fields(cls) if f.default is missing and f.default_factory is missing}

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _Wrong(f"must be an object, but is {_kind(value)}")
        arguments = {}
        for key, item in value.items():
            if key not in converters:
                raise _Wrong(f"has an unknown key {key!r}: {unknown_key(key, converters)}")
            try:
                arguments[key] = converters[key](item)
            except _Wrong as error:
                error.path.append(key)
                raise
        if lacking := sorted(required - arguments.keys()):
            raise _Wrong(f"lacks the key{'s' * (len(lacking) > 1)} {', '.join(map(repr, lacking))}")
        return cls(**arguments)

    return convert


def _mapping_converter(convert_item: Converter) -> Converter:
    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _Wrong(f"must be an object, but is {_kind(value)}")
        result = {}
        for key, item in value.items():
            try:
                result[key] = convert_item(item)
            except _Wrong as error:
                error.path.append(key)
                raise
        return result

    return convert


def _numbers_converter() -> Converter:
    """Scores of single items are most of a record: look at all values of a mapping at once, one by one only if needed."""
    one_by_one = _mapping_converter(_number)

    def convert(value: Any) -> dict[str, float]:
        if type(value) is dict and {float}.issuperset(map(type, value.values())) and math.isfinite(sum(value.values())):
            return value
        return one_by_one(value)

    return convert


def _list_converter(convert_item: Converter) -> Converter:
    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _Wrong(f"must be a list, but is {_kind(value)}")
        return [convert_item(item) for item in value]

    return convert


def _literal_converter(choices: tuple[Any, ...]) -> Converter:
    def convert(value: Any) -> Any:
        if value not in choices:
            near = unknown_key(str(value), map(str, choices))
            raise _Wrong(f"must be one of {', '.join(map(repr, choices))}, but is {value!r}; {near}")
        return value

    return convert


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _Wrong(f"must be a finite number, but is {_kind(value)}")
    return float(value)


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise _Wrong(f"must be a whole number, but is {_kind(value)}")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Wrong(f"must be text, but is {_kind(value)}")
    return value


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise _Wrong(f"must be true or false, but is {_kind(value)}")
    return value
