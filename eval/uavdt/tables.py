"""Tables beside the official figure: AP of each sequence, category, occlusion, out-of-view and sequence attribute."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from eval.metrics.matching import assign
from eval.uavdt.files import CATEGORIES, OCCLUSIONS, OUT_OF_VIEW
from eval.uavdt.official import IOU_THRESHOLD, SequenceScore, pool, precision_recall
from eval.uavdt.sequences import ATTRIBUTES, official_sequences

COLUMNS = ("table", "group", "sequences", "frames", "boxes", "found", "recall", "AP")


def official_tables(scores: list[SequenceScore]) -> list[dict[str, Any]]:
    """Return rows with the keys `COLUMNS`; `recall` and `AP` in percent, None where a group has no box.

    Tables: `overall`; `sequence` (each alone); `category`, `occlusion` and `out_of_view` by the attributes of the boxes;
    `weather`, `altitude`, `camera_view` and `duration` by those of the official sequences.

    The official metric knows no class of a detection. So in the three tables by box the boxes of other groups are
    ignored: finding them is neither right nor wrong, and they are not counted as missed. (The toolkit's own per-class
    function counts them as missed and as already found, which its matching function does not mean.)
    """
    rows = [_row("overall", "all", scores)]
    rows += [_row("sequence", score.truth.name, [score]) for score in scores]
    for table, values in (("category", CATEGORIES), ("occlusion", OCCLUSIONS), ("out_of_view", OUT_OF_VIEW)):
        rows += [_box_row(table, key, name, scores) for key, name in values.items()]
    for attribute, value, names in _attribute_groups():
        members = [score for score in scores if score.truth.name in names]
        if members:
            rows.append(_row(attribute, value, members))
    return rows


def _row(table: str, group: str, scores: list[SequenceScore]) -> dict[str, Any]:
    boxes = sum(len(score.truth.frame) for score in scores)
    found = sum(score.found for score in scores)
    return _cells(table, group, scores, boxes, found, pool(scores).average_precision)


def _box_row(table: str, key: int, group: str, scores: list[SequenceScore]) -> dict[str, Any]:
    """One row of a table by an attribute of the boxes, e.g. all trucks."""
    counted = [getattr(score.truth, table) == key for score in scores]
    state = np.concatenate([assign(score.candidates, counts, IOU_THRESHOLD) for score, counts in zip(scores, counted)])
    score = np.concatenate([score.candidates.score for score in scores])
    boxes = sum(int(counts.sum()) for counts in counted)
    area = precision_recall(score, state, boxes).average_precision
    return _cells(table, group, scores, boxes, int((state == 1).sum()), area)


def _cells(table: str, group: str, scores: list[SequenceScore], boxes: int, found: int, area: float) -> dict[str, Any]:
    frames = sum(score.truth.length for score in scores)
    measured = (100.0 * found / boxes, area) if boxes else (None, None)
    return dict(zip(COLUMNS, (table, group, len(scores), frames, boxes, found, *measured)))


def _attribute_groups() -> Iterator[tuple[str, str, set[str]]]:
    sequences = official_sequences().values()
    for attribute in ATTRIBUTES:
        values = dict.fromkeys(value for s in sequences for value in s.attributes.get(attribute, ()))
        for value in values:
            yield attribute, value, {s.name for s in sequences if value in s.attributes.get(attribute, ())}
