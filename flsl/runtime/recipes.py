"""Where recipes are: below configs/ of the clone, or shipped inside an installed package; found by path or by name."""

import difflib
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from flsl.runtime.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent


@cache
def recipes_folder() -> Path:
    """Return the folder `configs`: that of the clone, or the one that an installed package carries."""
    beside = PACKAGE.parent / "configs"
    return beside if (beside / "pretrain").is_dir() else PACKAGE / "configs"


def named_recipes(pattern: str) -> list[str]:
    """Return the names `configs/KIND/NAME.py` of the recipes that fit a pattern of that form, sorted; any folder serves."""
    names = (f"configs/{path.relative_to(recipes_folder()).as_posix()}" for path in recipes_folder().rglob("*.py"))
    return sorted(name for name in names if fnmatch(name, pattern))


def suggest(stem: str) -> list[str]:
    """Return the names of the recipes that are nearest to a misspelt one, the nearest first."""
    by_stem = {Path(name).stem: name for name in named_recipes("*")}
    return [by_stem[near] for near in difflib.get_close_matches(stem, by_stem, n=3)]


def find_recipe(given: str | Path) -> Path:
    """Return the file that a user means by a path, by `configs/KIND/NAME.py` from any folder, or by `NAME` alone.

    A path that leads to a file comes first. What is no recipe's name comes back as it is.

    Raises:
        UserError: several recipes have that name.
    """
    path = Path(given)
    try:
        if path.is_file() or path.is_absolute():
            return path
    except OSError:  # such as a name that is too long: who reads it says so
        return path
    file = path.as_posix().removesuffix(".py") + ".py"
    found = [name for name in named_recipes("*") if f"/{name}".endswith(f"/{file}")]
    if len(found) > 1:
        raise UserError(f"config {path} is the name of several recipes: {', '.join(found)}. Give one of these.")
    return recipes_folder().parent / found[0] if found else path
