"""Recipe files: mmengine Python configs, changed by `--set key=value`; `flsl.runtime.schema` checks what they say.

A recipe is a program: who reads one runs it. What is kept from it is only that it hangs or ends this one unexplained.
"""

import ast
import contextlib
import os
import pprint
import re
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.recipes import find_recipe, suggest
from flsl.runtime.text import shorten

ELSEWHERE = "Recipes are under configs/; a shipped one is found by its name from any folder, such as flsl_small_20e."
LONGEST_KEY = 200
LIMIT = 60.0  # seconds of computing that a recipe may take


def read_config(path: str | Path, overrides: Iterable[str] = (), optional: Iterable[str] = ()) -> dict[str, Any]:
    """Read a recipe (mmengine Python config, `_base_` supported) and apply `key.subkey=value` overrides.

    Args:
        path: the recipe file, or the name of a shipped one (`flsl.runtime.recipes`).
        overrides: strings such as `"training.epochs=10"`; values are Python literals, anything else is a string.
        optional: top-level sections that an override may add although the recipe leaves them out.

    Returns:
        A plain nested dictionary.

    Raises:
        UserError: the file is missing or not a config, or an override names a key that the recipe does not have.
            (Keys that a recipe leaves at their default are known to its schema: the override is added to the section
            and checked there.)
    """
    path = find_recipe(path)
    from mmengine.config import Config

    files: set[str] = set()
    try:
        with _time_limit(path):
            files = _with_bases(path)
            config = Config.fromfile(str(path), lazy_import=False).to_dict()
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # anything may come out of a user's program
        raise UserError(f"config {path} cannot be read: {_told(error, files)}") from error
    return override_config(config, overrides, optional)


def _with_bases(path: Path, chain: tuple[Path, ...] = ()) -> set[str]:
    """Return the names of a recipe file and of all that it is based on, as far as that can be told without running it.

    Raises:
        UserError: one is not there, is no Python file, or leads back to itself.
    """
    named = f"config {path}" + (f", the _base_ of {chain[-1]}," if chain else "")
    here = Path(os.path.abspath(path))
    if here in chain:
        loop = " -> ".join(file.name for file in (*chain[chain.index(here) :], here))
        raise UserError(f"config {chain[0]} is based on itself ({loop}): its _base_ must be another recipe")
    try:
        is_file, is_folder = here.is_file(), here.is_dir()
    except OSError as error:  # such as a name that is too long
        raise UserError(f"{named[:200]} cannot be read: {error.strerror}") from error
    if is_folder:
        raise UserError(f"{named} is a folder; expected is a recipe in it, a Python file")
    if not is_file:
        folder = here.parent if (path.parent.parts or chain) and any(here.parent.glob("*.py")) else None
        near = sorted(file.name for file in folder.glob("*.py")) if folder else suggest(here.stem)
        where = f"Recipes in {path.parent}" if folder else "Recipes of such a name"
        raise UserError(f"{named} does not exist. " + (f"{where}: {shorten(near, 12)}." if near else ELSEWHERE))
    if here.suffix != ".py":
        raise UserError(f"{named} is no recipe: expected is a Python file (.py). {ELSEWHERE}")
    try:
        lines = ast.parse(here.read_text(encoding="utf-8")).body
    except UnicodeDecodeError as error:
        raise UserError(f"{named} is no recipe: it is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise UserError(f"{named} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {str(here)}  # mmengine knows placeholders that are no Python, and says what is wrong with the rest
    files = {str(here)}
    for base in _bases(lines, named):
        files |= _with_bases(path.parent / base, (*chain, here))
    return files


def _bases(lines: Iterable[ast.stmt], named: str) -> Iterator[str]:
    """Yield the recipes that a file's `_base_` names, unless it is computed; other packages' are mmengine's to find."""
    for line in lines:
        if not isinstance(line, ast.Assign) or not any(getattr(t, "id", "") == "_base_" for t in line.targets):
            continue
        try:
            bases = ast.literal_eval(line.value)
        except ValueError:  # it is computed
            continue
        for base in bases if isinstance(bases, list) else [bases]:
            if not isinstance(base, str):
                raise UserError(f"{named}: _base_ must be the name of a recipe or a list of names, but is {base!r}")
            if "::" not in base:
                yield base


@contextlib.contextmanager
def _time_limit(path: Path) -> Iterator[None]:
    """End a recipe that computes, or prints, without end; only the main thread can."""

    def stop(*_: object) -> None:
        raise UserError(f"config {path} is still running after {LIMIT:g} s of computing; a recipe only sets values")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _told(error: BaseException, files: set[str]) -> str:
    """Return what went wrong in a recipe and where, in one line."""
    if isinstance(error, SystemExit):
        text = f"it ends the program ({error.code!r:.80}); a recipe only sets values"
    else:
        said = re.sub(r"There are syntax errors in config file \S+: ", "", str(error)).strip() or "no reason given"
        text = f"{type(error).__name__}: {said.splitlines()[0]:.300}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {text}" if frames else text


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
    if not separator or not key or len(key) > LONGEST_KEY:
        raise UserError(f"--set {override!r:.80} is not of the form key=value, e.g. --set training.epochs=10")
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
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
