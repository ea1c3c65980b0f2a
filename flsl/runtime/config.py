"""Recipe files: mmengine Python configs, changed by `--set key=value`; `flsl.runtime.schema` checks what they say."""

import ast
import pprint
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError, unknown_key


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
            (Keys that a recipe leaves at their default are known to its schema: the override is added to the section
            and checked there.)
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
    return override_config(config, overrides, optional)


def override_config(config: dict[str, Any], overrides: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    """Apply `key.subkey=value` overrides to nested plain values in place, and return them; see `read_config`."""
    optional = list(optional)
    for override in overrides:
        section, dot, _ = override.partition("=")[0].strip().partition(".")
        if section in optional and config.get(section) is None:
            config[section] = {} if dot else None
        _apply(config, override, optional)
    return config


def _apply(config: dict[str, Any], override: str, optional: Iterable[str]) -> None:
    """Set one `a.b=value` in place; sections must exist, keys inside a section are checked by its schema."""
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
            known = node if depth else {*node, *optional}
            raise UserError(unknown_key(f"--set {key}: {section!r} in {where}", section, known))
        if not isinstance(node[section], dict):
            raise UserError(f"--set {key}: {'.'.join(sections[: depth + 1])} is a value, not a section")
        node = node[section]
    if not sections and name not in node:
        raise UserError(unknown_key(f"--set {key}", name, {*node, *optional}))
    node[name] = value


def dump_config(config: Mapping[str, Any]) -> str:
    """Return a resolved config as the text of a Python config file that `read_config` reads back."""
    return "".join(f"{key} = {pprint.pformat(value, width=110, sort_dicts=False)}\n" for key, value in config.items())
