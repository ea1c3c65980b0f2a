"""The frame that DINO's descendants share: `student` and `teacher` dictionaries around a backbone and heads."""

from typing import Any, NamedTuple

from flsl.formats.found import State, inner, tensors_of
from flsl.formats.prefix import flatten
from flsl.runtime.errors import UserError
from flsl.weights import WeightFile

BRANCHES = ("teacher", "student")


class Side(NamedTuple):
    """One side of a training checkpoint."""

    state: State  # the backbone, without prefixes
    others: list[str]  # names of everything else in the file
    branch: str | None  # "teacher" or "student"; None for a file without sides

    @property
    def of_ibot(self) -> bool:
        """Whether it has iBOT's second head, the one for patches, or its loss."""
        return any(key == "ibot_loss" or ".last_layer2." in key or ".mlp2." in key for key in self.others)


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


def lacking(tree: dict[Any, Any], prefix: str) -> list[str]:
    """Return the names that the teacher lacks beside a student whose encoder lies below `prefix`; none where there are no two."""
    both = [tree.get(name) for name in BRANCHES]
    sides = [
        {key.replace("module.", "") for key in flatten(side)} if isinstance(side, dict) else set() for side in both
    ]
    encoder = prefix.removeprefix("student.").replace("module.", "")
    if not prefix.startswith("student.") or not all(sides):
        return []
    return sorted(f"teacher.{key}" for key in sides[1] - sides[0] if key.startswith(encoder))


def _plain(tree: object) -> State:
    """Return the tensors of a dictionary without the prefix of data parallelism."""
    return {key.removeprefix("module."): value for key, value in tensors_of(tree).items()}


def _backbone(state: State, where: str) -> tuple[State, list[str]]:
    """Split a network into its backbone and the names of the rest; a bare encoder is all backbone."""
    backbone = inner(state, "backbone.")
    if not backbone:
        return state, []
    return backbone, [where + key for key in state if not key.startswith("backbone.")]
