"""Sections of recipes and records: frozen dataclasses that pydantic checks, and its complaints in this project's words."""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import dataclass_transform

from flsl.runtime.errors import UserError, unknown_key

T = TypeVar("T")

# Ranges that many keys share.
PositiveInt = Annotated[int, Field(ge=1, le=2**53)]
Count = Annotated[int, Field(ge=0, le=2**53)]  # 0 switches something off
Pixels = Annotated[int, Field(ge=1, le=2**15 - 1)]  # of a side; OpenCV resizes to no more
Width = Annotated[int, Field(ge=1, le=2**16)]  # channels
Depth = Annotated[int, Field(ge=1, le=1000)]  # layers, blocks
Workers = Annotated[int, Field(ge=0, le=1024)]  # processes
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]  # a probability of dropping, a momentum that must move

_SAYS = {  # pydantic's kind of complaint -> what the value must be; {name} comes from the complaint's context
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a section",
    "dataclass_type": "a section",
    "literal_error": "one of {expected}",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "too_short": "at least {min_length} values long",
    "too_long": "at most {max_length} values long",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
    "string_pattern_mismatch": "of the form {pattern}",
    "string_unicode": "text that UTF-8 can express",
}


DEEPEST = 50  # levels of nested values
LONGEST = 1000  # characters of a complaint

CHECKS = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def section(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass whose values are checked: types, ranges (`Annotated[float, Field(gt=0)]`),
    unknown keys, NaN and infinities. A `ValueError` from `__post_init__` counts as a complaint about the section."""
    return cast(type[T], checked_dataclass(frozen=True, config=CHECKS)(cls))


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def section_of_a_record(cls: type[T]) -> type[T]:
    """Make a section that is checked where it is read and written, not where it is built: until then a number may be
    numpy's, and what is wrong is told with the file that it would have gone into."""
    cls.__pydantic_config__ = CHECKS  # type: ignore[attr-defined]  # pydantic looks for it
    return dataclasses.dataclass(frozen=True)(cls)


def parse(cls: type[T], values: Any, where: str = "") -> T:
    """Build a section from plain values such as a recipe's: lists become tuples, whole numbers become floats where
    floats are asked for, and nothing else is converted.

    Args:
        cls: a class made by `section`; its fields may be sections.
        values: nested dictionaries.
        where: dotted name of the section, for messages.

    Raises:
        UserError: every wrong key at once, each with its value and what it must be; unknown ones with the nearest.
    """
    _require_plain(values, where)
    return parse_json(cls, json.dumps(values), where)


def _require_plain(value: Any, where: str, depth: int = 0) -> None:
    """Raise UserError, naming the key, where nested values are not what JSON can say."""
    if depth > DEEPEST:
        raise UserError(f"{where[:80]} is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise UserError(f"{where or 'the config'} has the key {_shown(key)}; expected is text")
            _require_plain(key, f"a key of {where or 'the config'}")
            _require_plain(item, f"{where}.{key}" if where else key, depth + 1)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            _require_plain(item, f"{where}[{number}]", depth + 1)
    else:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserError(f"{where} must be {_SAYS['string_unicode']}, but is {_shown(value)}") from None
        except (TypeError, ValueError):
            raise UserError(
                f"{where or 'the config'} must be a plain value (a number, text, a list), but is {_shown(value)}"
            ) from None


def parse_json(cls: type[T], text: str | bytes, where: str = "", whole: str = "the config") -> T:
    """Build a section from JSON text; see `parse`. `whole` is what messages call it where `where` is empty.

    Raises:
        UserError: the text is no JSON, or does not fit.
    """
    try:
        return _adapter(cls).validate_json(text, strict=True)  # type: ignore[arg-type]  # a class is hashable
    except ValidationError as error:
        raise UserError("; ".join(explain(error, cls, where, whole))) from None


def explain(error: ValidationError, cls: type, where: str = "", whole: str = "the config") -> list[str]:
    """Return a validation error's complaints in plain words, one a key; keys that one section lacks are one complaint."""
    said: list[str] = []
    lacking: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        keys = [key for key in item["loc"] if isinstance(key, (str, int))]
        name = ".".join(filter(None, [where, _dotted(keys)])) or whole
        kind, context = item["type"], item.get("ctx", {})
        if kind == "unexpected_keyword_argument":
            homes = [f"{home}.{keys[-1]}" for home in _fields(cls, []) if keys[-1] in _fields(cls, [home])]
            moved = f"{name} is not a known key. Did you mean {' or '.join(map(repr, homes))}?"
            said.append(moved if homes else unknown_key(name, str(keys[-1]), _fields(cls, keys[:-1])))
        elif kind == "missing" and isinstance(keys[-1], int):
            short = ".".join(filter(None, [where, _dotted(keys[:-1])]))
            said.append(f"{short} must have more values, but is {_shown(item['input'])}")
        elif kind == "missing":
            lacking.setdefault(".".join(filter(None, [where, _dotted(keys[:-1])])) or whole, []).append(repr(keys[-1]))
        elif kind == "value_error":
            said.append(f"{name}: {context['error']}")
        elif kind == "json_invalid":
            said.append(f"{name} is not a JSON document ({context['error']})")
        else:
            must = _SAYS.get(kind, item["msg"].removeprefix("Input should be ")).format(**context)
            said.append(f"{name} must be {must}, but is {_shown(item['input'])}")
    said += [f"{name} lacks the key{'s' * (len(of) > 1)} {', '.join(of)}" for name, of in lacking.items()]
    return [line if len(line) < LONGEST else line[:LONGEST] + "..." for line in said]


@cache
def _adapter(cls: Any) -> TypeAdapter:
    return TypeAdapter(cls)


def _dotted(keys: list[str | int]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")


def _fields(cls: Any, keys: list[str | int]) -> list[str]:
    """Return the keys of the section that `keys` lead to."""
    for key in keys:
        hint = get_type_hints(cls).get(str(key)) if dataclasses.is_dataclass(cls) else None
        if hint is None and get_origin(cls) in (dict, list, tuple):
            hint = get_args(cls)[-1]
        options = [hint, *get_args(hint)] if hint is not None else []
        cls = next((option for option in options if dataclasses.is_dataclass(option)), hint)
    return [field.name for field in dataclasses.fields(cls) if field.init] if dataclasses.is_dataclass(cls) else []


def _shown(value: Any) -> str:
    try:
        nested = isinstance(value, (Mapping, list))
        text = json.dumps(value, ensure_ascii=False, default=repr) if nested else repr(value)
    except ValueError:  # more digits than Python turns into text
        text = f"{type(value).__name__} of too many digits to show"
    return text if len(text) < 60 else text[:57] + "..."
