"""Recipes: mmengine config files whose sections are frozen dataclasses that refuse unknown keys and wrong types."""

import ast
import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from flsl.errors import UserError

T = TypeVar("T")


def read_config(path: str | Path, overrides: Iterable[str] = (), optional: Iterable[str] = ()) -> dict[str, Any]:
    """Read a recipe (mmengine Python config, `_base_` supported) and apply `key.subkey=value` overrides.

    Args:
        path: the recipe file.
        overrides: strings such as `"training.epochs=10"`; values are Python literals, anything else is a string.
        optional: top-level sections that an override may add although the recipe leaves them out.

    Returns:
        A plain nested dictionary.

    Raises:
        UserError: the file is missing or not a config, or an override names a key that the recipe does not have.
            (Keys that a recipe leaves at their default are set through `parse_section`'s dataclass: the override is
            added to the section and checked there.)
    """
    path = Path(path)
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        hint = f" Recipes in {path.parent}: {', '.join(near)}." if near else " Recipes are under configs/."
        raise UserError(f"config {path} does not exist.{hint}")
    from mmengine.config import Config

    try:
        config = Config.fromfile(str(path), lazy_import=False).to_dict()
    except Exception as error:  # any Python error may come out of a user's config file
        raise UserError(f"config {path} cannot be read: {type(error).__name__}: {error}") from error
    for override in overrides:
        section, dot, _ = override.partition("=")[0].strip().partition(".")
        if section in optional:
            config.setdefault(section, {} if dot else None)
        _apply(config, override)
    return config


def _apply(config: dict[str, Any], override: str) -> None:
    """Set one `a.b=value` in place; sections must exist, keys inside a section are checked by its dataclass."""
    key, separator, text = override.partition("=")
    key = key.strip()
    if not separator or not key:
        raise UserError(f"--set {override!r} is not of the form key=value, e.g. --set training.epochs=10")
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        value = text.strip()
    *sections, name = key.split(".")
    node = config
    for depth, section in enumerate(sections):
        if section not in node:
            where = ".".join(sections[:depth]) or "the config"
            raise UserError(unknown_key(f"--set {key}: {section!r} in {where}", section, node))
        if not isinstance(node[section], dict):
            raise UserError(f"--set {key}: {'.'.join(sections[: depth + 1])} is a value, not a section")
        node = node[section]
    if not sections and name not in node:
        raise UserError(unknown_key(f"--set {key}", name, node))
    node[name] = value


def unknown_key(what: str, key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key, naming the nearest valid one."""
    known = sorted(k for k in known if not k.startswith("_"))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{what} is not a known key.{hint} Valid keys: {', '.join(known)}."


def parse_section(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the frozen dataclass `cls` from a config section, recursing into fields that are dataclasses.

    Args:
        cls: a dataclass whose fields have plain annotations (int, float, bool, str, tuples, optionals, dataclasses).
        values: the section as a mapping.
        where: its dotted name, used in messages.

    Raises:
        UserError: unknown or missing key, or a value of the wrong type; the message names the nearest valid key.
            A `ValueError` from the dataclass's own `__post_init__` becomes a UserError too.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where} must be a section (dict), but is {values!r}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    arguments = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else key
        if key not in fields:
            raise UserError(unknown_key(name, key, fields))
        arguments[key] = _convert(hints[key], value, name)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in arguments:
            raise UserError(f"{where or 'the config'} lacks the key {name!r} ({hints[name]})")
    try:
        return cls(**arguments)
    except ValueError as error:
        raise UserError(f"{where or 'config'}: {error}") from error


def _convert(hint: Any, value: Any, name: str) -> Any:
    """Check `value` against a type hint; lists become tuples, ints become floats where floats are asked for."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        for option in inner:
            if option is type(None):
                if value is None:
                    return None
                continue
            try:
                return _convert(option, value, name)
            except UserError:
                if dataclasses.is_dataclass(option):
                    raise
        raise UserError(f"{name} must be {hint}, but is {value!r}")
    if origin is typing.Literal:
        if value in inner:
            return value
        raise UserError(f"{name} must be one of {', '.join(map(repr, inner))}, but is {value!r}")
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else parse_section(hint, value, name)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{name} must be a list, but is {value!r}")
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_convert(inner[0], item, f"{name}[{i}]") for i, item in enumerate(value))
        if len(value) != len(inner):
            raise UserError(f"{name} must have {len(inner)} values, but is {value!r}")
        return tuple(_convert(kind, item, f"{name}[{i}]") for i, (kind, item) in enumerate(zip(inner, value)))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is dict or origin is dict:
        if isinstance(value, Mapping):
            return dict(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"{name} must be {getattr(hint, '__name__', hint)}, but is {value!r} ({type(value).__name__})")


def dump_config(config: Mapping[str, Any]) -> str:
    """Return a resolved config as the text of a Python config file that `read_config` reads back."""
    import pprint

    return "".join(f"{key} = {pprint.pformat(value, width=110, sort_dicts=False)}\n" for key, value in config.items())
