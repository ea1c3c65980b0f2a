"""The pretraining methods, one file each, found by name: `method = "dino"` in a recipe is `pretrain/methods/dino.py`.

A file holds a class `Recipe` (a section of `pretrain.recipe.Recipe` with the method's own keys) and a class `Method`
(`pretrain.method.Method`): the views that it wants, what it schedules, its modules, and their loss. Nothing else knows it.
"""

import importlib
import pkgutil
from typing import Any

from flsl.runtime.errors import UserError, unknown_key


def method_names() -> list[str]:
    """Return the names that a recipe's `method` may have; nothing is imported."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_method(name: Any) -> Any:
    """Return the module of a method.

    Raises:
        UserError: there is none of that name.
    """
    if name not in method_names():
        raise UserError(unknown_key(f"method {name!r:.80}", str(name), method_names(), "method"))
    return importlib.import_module(f"{__name__}.{name}")
