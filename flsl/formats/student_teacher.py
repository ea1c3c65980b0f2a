"""The frame that DINO's descendants share: `student` and `teacher` dictionaries around a backbone and heads."""

from typing import NamedTuple

from flsl.formats.found import State, inner, tensors_of
from flsl.runtime.errors import UserError
from flsl.weights import WeightFile

BRANCHES = ("teacher", "student")


class Side(NamedTuple):
    """One side of a training checkpoint."""

    state: State  # the backbone, without prefixes
    others: list[str]  # names of everything else in the file
    branch: str | None  # "teacher" or "student"; None for a file without sides


def take_side(file: WeightFile, branch: str | None) -> Side:
    """Return the wanted side, the teacher by default (it is what DINO, iBOT, SelfPatch and FLSL evaluate).

    A file without sides comes back as its tensors, less `module.` and `backbone.` prefixes.

    Raises:
        UserError: `branch` names a side that the file lacks.
    """
    sides = {name: _plain(file.tree.get(name)) for name in BRANCHES if tensors_of(file.tree.get(name))}
    if not sides:
        return Side(*_backbone(_plain(file.tree), ""), None)
    if branch is not None and branch not in sides:
        raise UserError(f"checkpoint {file.path} has no branch {branch!r}; it has {', '.join(sides)}")
    chosen = branch or next(iter(sides))
    state, others = _backbone(sides[chosen], f"{chosen}.")
    others += [f"{name}.{key}" for name, side in sides.items() if name != chosen for key in side]
    others += [str(key) for key, value in file.tree.items() if key not in BRANCHES and isinstance(value, dict)]
    return Side(state, others, chosen)


def _plain(tree: object) -> State:
    """Return the tensors of a dictionary without the prefix of data parallelism."""
    return {key.removeprefix("module."): value for key, value in tensors_of(tree).items()}


def _backbone(state: State, where: str) -> tuple[State, list[str]]:
    """Split a network into its backbone and the names of the rest; a bare encoder is all backbone."""
    backbone = inner(state, "backbone.")
    if not backbone:
        return state, []
    return backbone, [where + key for key in state if not key.startswith("backbone.")]
