"""The official sequences: the train and test lists, their lengths and their attributes (`sequences.json`)."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ATTRIBUTES = ("weather", "altitude", "camera_view", "duration")


@dataclass(frozen=True)
class Sequence:
    """One sequence of the benchmark.

    Known of test sequences only: `frames`, the length that the official toolkit evaluates; `boxes`, the rows of the
    official `_gt_whole.txt`; `attributes`, which maps a name of `ATTRIBUTES` to the sequence's values, e.g. `camera_view`
    to `("front", "side")`.
    """

    name: str
    split: str
    frames: int | None = None
    boxes: int | None = None
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@cache
def official_sequences() -> dict[str, Sequence]:
    """Return the 50 official sequences by name: 30 of `train` and 20 of `test`, in the toolkit's order."""
    lists = json.loads((Path(__file__).parent / "sequences.json").read_text())
    sequences = {name: Sequence(name, "train") for name in lists["train"]}
    for name, facts in lists["test"].items():
        attributes = {key: tuple(facts[key]) for key in ATTRIBUTES if key in facts}
        sequences[name] = Sequence(name, "test", facts["frames"], facts["boxes"], attributes)
    return sequences
