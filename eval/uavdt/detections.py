"""Detections in the toolkit's RES_DET text format: one file `<seq>.txt` a sequence.

    frame,-1,left,top,width,height,score,1,-1

The toolkit reads columns 1 and 3 to 7 only. The category of a detection (1 car, 2 truck, 3 bus) is kept in the ninth
column, which is the place of the category in `_gt_whole.txt` and holds -1 in the toolkit's own files: so files written
here can be scored by the toolkit, and files of others are read as detections without a category.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.uavdt.ground_truth import CATEGORIES, check_frames
from eval.uavdt.rows import check_rows, read_rows
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic

NO_CATEGORY = -1

_LAYOUT = "frame,-1,left,top,width,height,score,1,category (or -1)"


@dataclass(frozen=True)
class SequenceDetections:
    """Detections of one sequence, in file order. Frames count from 1; boxes are left, top, width, height in pixels."""

    name: str
    frame: np.ndarray  # (n,) int
    box: np.ndarray  # (n, 4) float64
    score: np.ndarray  # (n,) float64
    category: np.ndarray  # (n,) int, key of CATEGORIES or NO_CATEGORY


def read_detections(folder: Path, name: str, length: int | None) -> SequenceDetections:
    """Read `<folder>/<name>.txt`; `length` is the sequence's number of frames (None: unknown, not checked).

    Raises:
        UserError: the file is missing, a row is malformed, a frame is beyond the sequence, a category is unknown.
    """
    path = folder / f"{name}.txt"
    if not path.is_file():
        raise UserError(
            f"{path} is missing: each evaluated sequence needs its detections, one row a box, {_LAYOUT}. "
            "An empty file means that nothing was detected."
        )
    rows = read_rows(path, (7, None), _LAYOUT)
    frame = check_frames(path, rows, length)
    check_rows(path, (rows[:, 4:6] >= 0).all(axis=1), "columns 5 and 6, width and height, must not be negative")
    category = rows[:, 8] if rows.shape[1] > 8 else np.full(len(rows), NO_CATEGORY)
    meaning = ", ".join(f"{key} {text}" for key, text in CATEGORIES.items())
    known = np.isin(category, [NO_CATEGORY, *CATEGORIES])
    check_rows(path, known, f"column 9, category, must be one of {meaning}, or -1 where the detector gives none")
    return SequenceDetections(name, frame, rows[:, 2:6], rows[:, 6], category.astype(int))


def write_detections(folder: Path, detections: SequenceDetections) -> Path:
    """Write `<folder>/<name>.txt` and return its path; numbers read back as the same float64."""
    d = detections
    rows = zip(d.frame.tolist(), d.box.tolist(), d.score.tolist(), d.category.tolist())
    lines = [f"{f},-1,{x!r},{y!r},{w!r},{h!r},{score!r},1,{c}\n" for f, (x, y, w, h), score, c in rows]
    return write_atomic(folder / f"{d.name}.txt", lambda path: path.write_text("".join(lines)))
