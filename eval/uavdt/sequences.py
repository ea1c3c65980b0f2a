"""The official sequences: the train and test lists, lengths, attributes, and what tells their published boxes
(`sequences.json`)."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from eval.uavdt.files import SequenceTruth

ATTRIBUTES = ("weather", "altitude", "camera_view", "duration")
# The toolkit's driver does not read the ignore files of these two test sequences.
WITHOUT_IGNORE = frozenset({"M0209", "M0801"})


@dataclass(frozen=True)
class Sequence:
    """One sequence of the benchmark.

    Known of test sequences only: `frames`, the length that the official toolkit evaluates; `boxes`, the rows of the
    official `_gt_whole.txt`; `attributes`, which maps a name of `ATTRIBUTES` to the sequence's values, e.g. `camera_view`
    to `("front", "side")`. `statistics` is what `digest_of_statistics` gives for the published boxes; `contents`, known of
    some, what `digest_of_boxes` does.
    """

    name: str
    split: str
    frames: int | None = None
    boxes: int | None = None
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    statistics: str | None = None
    contents: str | None = None

    def has_published_boxes(self, truth: SequenceTruth) -> bool:
        """Tell whether a ground truth is the published one, as far as that is known."""
        same = self.statistics in (None, digest_of_statistics(truth))
        return same and self.contents in (None, digest_of_boxes(truth))


@cache
def official_sequences() -> dict[str, Sequence]:
    """Return the 50 official sequences by name: 30 of `train` and 20 of `test`, in the toolkit's order."""
    lists = json.loads((Path(__file__).parent / "sequences.json").read_text())
    sequences = {}
    for split in ("train", "test"):
        for name, facts in lists[split].items():
            known = {key: facts.get(key) for key in ("frames", "boxes", "statistics", "contents")}
            attributes = {key: tuple(facts[key]) for key in ATTRIBUTES if key in facts}
            sequences[name] = Sequence(name, split, attributes=attributes, **known)
    return sequences


def digest_of_statistics(truth: SequenceTruth) -> str:
    """Return 16 hexadecimal digits that stand for the counts of boxes, frames, tracks, flags and categories, and for how
    far the boxes reach."""
    counts = [len(truth.frame), truth.frame.max(initial=0), len(np.unique(truth.frame)), len(np.unique(truth.target))]
    end = truth.box[:, :2] + truth.box[:, 2:]
    reach = [*end.max(axis=0, initial=0), *truth.box.min(axis=0, initial=1e9)]
    groups = [
        {str(key): int(times) for key, times in zip(*np.unique(values, return_counts=True))}
        for values in (truth.category, truth.out_of_view, truth.occlusion)
    ]
    return _digest(json.dumps([*map(float, [*counts, *reach]), *groups]))


def digest_of_boxes(truth: SequenceTruth) -> str:
    """Return 16 hexadecimal digits that stand for all rows of a ground truth, in any order."""
    columns = (truth.frame, truth.target, *truth.box.T, truth.out_of_view, truth.occlusion, truth.category)
    rows = np.stack(columns, axis=1).astype(float)
    return _digest(repr(rows[np.lexsort(rows.T)].tolist()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
