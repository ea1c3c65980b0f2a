"""Ground-truth files of one sequence: `<seq>_gt_whole.txt` (boxes) and `<seq>_gt_ignore.txt` (ignore regions)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.uavdt.rows import check_rows, read_rows
from flsl.runtime.errors import UserError

CATEGORIES = {1: "car", 2: "truck", 3: "bus"}
OCCLUSIONS = {1: "none", 2: "large", 3: "medium", 4: "small"}
OUT_OF_VIEW = {1: "none", 2: "medium", 3: "small"}

_WHOLE = "frame,target,left,top,width,height,out-of-view,occlusion,category"
_IGNORE = "frame,target,left,top,width,height,_,_,_"


@dataclass(frozen=True)
class SequenceTruth:
    """Boxes and ignore regions of one sequence. Frames count from 1; boxes are left, top, width, height in pixels.

    `length` is the number of frames of the sequence, frames without a box included.
    """

    name: str
    length: int
    frame: np.ndarray  # (n,) int
    box: np.ndarray  # (n, 4) float64, as in the file: it may reach over the edge of the image
    target: np.ndarray  # (n,) int, the track
    out_of_view: np.ndarray  # (n,) int, key of OUT_OF_VIEW
    occlusion: np.ndarray  # (n,) int, key of OCCLUSIONS
    category: np.ndarray  # (n,) int, key of CATEGORIES
    ignore_frame: np.ndarray  # (m,) int
    ignore_box: np.ndarray  # (m, 4) float64


def whole_path(folder: Path, name: str) -> Path:
    """Return the path of a sequence's boxes in the ground-truth folder."""
    return folder / f"{name}_gt_whole.txt"


def ignore_path(folder: Path, name: str) -> Path:
    """Return the path of a sequence's ignore regions in the ground-truth folder."""
    return folder / f"{name}_gt_ignore.txt"


def read_truth(folder: Path, name: str, length: int | None) -> SequenceTruth:
    """Read the ground truth of one sequence from the folder `GT` (protocols.md, UAVDT data layout).

    Args:
        folder: the folder with the `_gt_whole.txt` and `_gt_ignore.txt` files.
        name: the sequence, e.g. `M0203`.
        length: its number of frames; None takes the highest frame number with a box.

    A missing ignore file is a sequence without ignore regions (`missing_ignore_files` lists them).

    Raises:
        UserError: no `_gt_whole.txt`, a malformed row, a frame beyond the sequence, or an unknown flag or category.
    """
    path = whole_path(folder, name)
    if not path.is_file():
        raise UserError(
            f"{path} is missing: the ground truth of sequence {name} is expected there, one row a box, {_WHOLE}. "
            "It is part of the official UAV-benchmark-MOTD_v1.0 archive."
        )
    rows = read_rows(path, (9, 9), _WHOLE)
    frame = check_frames(path, rows, length)
    check_rows(path, (rows[:, 4:6] > 0).all(axis=1), "columns 5 and 6, width and height, must be positive")
    for column, values, what in (
        (6, OUT_OF_VIEW, "out-of-view"),
        (7, OCCLUSIONS, "occlusion"),
        (8, CATEGORIES, "category"),
    ):
        meaning = ", ".join(f"{key} {text}" for key, text in values.items())
        check_rows(
            path, np.isin(rows[:, column], list(values)), f"column {column + 1}, {what}, must be one of {meaning}"
        )

    ignored = np.zeros((0, 9))
    path = ignore_path(folder, name)
    if path.is_file():
        ignored = read_rows(path, (6, None), _IGNORE)
    # No upper bound here: a region after the last frame has no effect, neither in the toolkit.
    ignore_frame = check_frames(path, ignored, None)
    if length is None:
        length = int(frame.max(initial=0))
    target, out_of_view, occlusion, category = rows[:, [1, 6, 7, 8]].T.astype(int)
    return SequenceTruth(
        name, length, frame, rows[:, 2:6], target, out_of_view, occlusion, category, ignore_frame, ignored[:, 2:6]
    )


def missing_ignore_files(folder: Path, names: list[str]) -> list[str]:
    """Return the sequences without an ignore file: a real copy has one for each, so a run should say so."""
    return [name for name in names if not ignore_path(folder, name).is_file()]


def check_frames(path: Path, rows: np.ndarray, length: int | None) -> np.ndarray:
    """Return the first column as int, or raise a UserError at the first row that is not a frame number in 1..length."""
    frame = rows[:, 0]
    last = "" if length is None else f" and the sequence has {length} frames"
    good = (frame >= 1) & (frame == np.floor(frame)) & (frame <= (np.inf if length is None else length))
    check_rows(path, good, f"column 1, frame, must be a whole number; frames count from 1{last}")
    return frame.astype(int)
