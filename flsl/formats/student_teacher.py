"""The frame that DINO's descendants share: `student` and `teacher` dictionaries around a backbone and heads."""

from typing import Any

from flsl.errors import UserError
from flsl.formats.found import State, inner, tensors_of
from flsl.weights import WeightFile

BRANCHES = ("teacher", "student")


def take_branch(file: WeightFile, branch: str | None) -> tuple[State, dict[str, Any]] | None:
    """Return one side's backbone without prefixes, and everything else as {name: value}; None without sides.

    The teacher is the side that DINO, iBOT, SelfPatch and FLSL evaluate; a file with the student only gives that.

    Raises:
        UserError: `branch` names a side that the file lacks.
    """
    sides = {name: tensors_of(file.tree.get(name)) for name in BRANCHES if tensors_of(file.tree.get(name))}
    if not sides:
        return None
    if branch is not None and branch not in sides:
        raise UserError(f"checkpoint {file.path} has no branch {branch!r}; it has {', '.join(sides)}")
    chosen = branch or next(iter(sides))
    state = {key.removeprefix("module."): value for key, value in sides[chosen].items()}
    backbone = inner(state, "backbone.")
    others = {f"{chosen}.{key}": value for key, value in state.items() if not key.startswith("backbone.")}
    for name, side in sides.items():
        if name != chosen:
            others |= {f"{name}.{key.removeprefix('module.')}": value for key, value in side.items()}
    if not backbone:  # a side that holds a bare encoder
        backbone, others = state, {key: value for key, value in others.items() if not key.startswith(f"{chosen}.")}
    others |= {key: value for key, value in file.tree.items() if key not in BRANCHES and isinstance(value, dict)}
    return backbone, others
