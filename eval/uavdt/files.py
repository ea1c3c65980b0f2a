"""UAVDT's text files, rows of comma-separated numbers: the ground truth, ignore regions and detections of a sequence.

The toolkit reads columns 1 and 3 to 7 of detections only. Their category is kept in the ninth column, which is its place
in the ground truth and holds -1 in the toolkit's own files: so files written here can be scored by the toolkit, and files
of others are read as detections without a category.
"""

import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flsl.runtime.errors import UserError
from flsl.runtime.files import read_file, write_text

CATEGORIES = {1: "car", 2: "truck", 3: "bus"}
OCCLUSIONS = {1: "none", 2: "large", 3: "medium", 4: "small"}
OUT_OF_VIEW = {1: "none", 2: "medium", 3: "small"}
NO_CATEGORY = -1

WHOLE = "frame,target,left,top,width,height,out-of-view,occlusion,category"
IGNORE = "frame,target,left,top,width,height,_,_,_"
DETECTIONS = "frame,-1,left,top,width,height,score,1,category (or -1)"

MOST_FRAMES = 10**6  # of a sequence: more is a slip of the pen, and would take gigabytes
LARGEST = 1 << 30  # bytes of a file; the official ones have some millions
FARTHEST = 10**5  # pixels from the corner of a frame; no picture is as large


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


@dataclass(frozen=True)
class SequenceDetections:
    """Detections of one sequence, in file order. Frames count from 1; boxes are left, top, width, height in pixels."""

    name: str
    frame: np.ndarray  # (n,) int
    box: np.ndarray  # (n, 4) float64
    score: np.ndarray  # (n,) float64
    category: np.ndarray  # (n,) int, key of CATEGORIES or NO_CATEGORY


@dataclass
class Rows:
    """The well-formed rows of a file and everything that is wrong with it, by line."""

    path: Path
    values: np.ndarray  # (rows, columns) float64
    lines: list[int] | None = None  # where the rows stand; None: every line that is not blank is a row
    problems: list[tuple[int, str]] = field(default_factory=list)

    def check(self, good: np.ndarray | np.bool_, problem: str) -> None:
        """Note a problem with every row for which the boolean array `good` is false."""
        if not good.all():
            self.lines = self.lines or [number for number, _ in _lines(self.path)]
            self.problems += [(self.lines[row], problem) for row in np.flatnonzero(~good)]

    def sound(self) -> np.ndarray:
        """Return the values; raises a UserError that names and shows the first line with a problem."""
        if self.problems:
            number, problem = min(self.problems, key=lambda item: item[0])
            text = dict(_lines(self.path)).get(number, "")
            raise UserError(f"{self.path}, line {number}: {problem} (the line reads {text[:80]!r}).")
        return self.values


def whole_path(folder: Path, name: str) -> Path:
    """Return the path of a sequence's boxes in the ground-truth folder."""
    return folder / f"{name}_gt_whole.txt"


def ignore_path(folder: Path, name: str) -> Path:
    """Return the path of a sequence's ignore regions in the ground-truth folder."""
    return folder / f"{name}_gt_ignore.txt"


def missing_ignore_files(folder: Path, names: list[str]) -> list[str]:
    """Return the sequences without an ignore file: a real copy has one for each, so a run should say so."""
    return [name for name in names if not ignore_path(folder, name).is_file()]


def read_truth(folder: Path, name: str, length: int | None) -> SequenceTruth:
    """Read the ground truth of one sequence from the folder `GT` (docs/protocols.md, "UAVDT").

    Args:
        folder: the folder with the `_gt_whole.txt` and `_gt_ignore.txt` files.
        name: the sequence, e.g. `M0203`.
        length: its number of frames; None takes the highest frame number with a box.

    A missing ignore file is a sequence without ignore regions (`missing_ignore_files` lists them).

    Raises:
        UserError: no `_gt_whole.txt`, or a row that cannot be (`check_whole`, `check_ignore`).
    """
    path = whole_path(folder, name)
    if not path.is_file():
        raise UserError(
            f"{path} is missing: the ground truth of sequence {name} is expected there, one row a box, {WHOLE}. "
            "It is part of the official UAV-benchmark-MOTD_v1.0 archive."
        )
    rows = check_whole(path, length).sound()
    path = ignore_path(folder, name)
    return truth_of_rows(name, length, rows, check_ignore(path).sound() if path.is_file() else None)


def truth_of_rows(name: str, length: int | None, rows: np.ndarray, ignored: np.ndarray | None = None) -> SequenceTruth:
    """Return a sequence's ground truth from the checked rows (n, 9) and (m, 6 or more) of its files."""
    frame, target, out_of_view, occlusion, category = rows[:, [0, 1, 6, 7, 8]].T.astype(int)
    ignored = np.zeros((0, 6)) if ignored is None else ignored
    return SequenceTruth(
        name,
        int(frame.max(initial=0)) if length is None else length,
        frame,
        rows[:, 2:6],
        target,
        out_of_view,
        occlusion,
        category,
        ignore_frame=ignored[:, 0].astype(int),
        ignore_box=ignored[:, 2:6],
    )


def read_detections(folder: Path, name: str, length: int | None) -> SequenceDetections:
    """Read `<folder>/<name>.txt`; `length` is the sequence's number of frames (None: unknown, not checked).

    Raises:
        UserError: the file is missing, a row is malformed, a frame is beyond the sequence, a box or category cannot be.
    """
    path = folder / f"{name}.txt"
    if not path.is_file():
        raise UserError(
            f"{path} is missing: each evaluated sequence needs its detections, one row a box, {DETECTIONS}. "
            "An empty file means that nothing was detected."
        )
    rows = read_rows(path, (7, None), DETECTIONS)
    values = rows.values
    category = values[:, 8] if values.shape[1] > 8 else np.full(len(values), NO_CATEGORY)
    _check_frames(rows, length)
    _check_boxes(rows)
    rows.check((values[:, 4:6] >= 0).all(axis=1), "columns 5 and 6, width and height, must not be negative")
    known = np.isin(category, [NO_CATEGORY, *CATEGORIES])
    rows.check(known, f"column 9, category, must be one of {_meaning(CATEGORIES)}, or -1 where the detector gives none")
    rows.sound()
    return SequenceDetections(name, values[:, 0].astype(int), values[:, 2:6], values[:, 6], category.astype(int))


def write_detections(folder: Path, detections: SequenceDetections) -> Path:
    """Write `<folder>/<name>.txt` and return its path; numbers read back as the same float64."""
    d = detections
    rows = zip(d.frame.tolist(), d.box.tolist(), d.score.tolist(), d.category.tolist())
    lines = [f"{f},-1,{x!r},{y!r},{w!r},{h!r},{score!r},1,{c}\n" for f, (x, y, w, h), score, c in rows]
    return write_text(folder / f"{d.name}.txt", "".join(lines))


def check_whole(path: Path, length: int | None) -> Rows:
    """Read a `_gt_whole.txt` and check every row: columns, frame in 1..length, box, flags and category."""
    rows = read_rows(path, (9, 9), WHOLE)
    _check_frames(rows, length)
    _check_boxes(rows)
    box = rows.values[:, 2:6]
    rows.check((box[:, 2:] > 0).all(axis=1), "columns 5 and 6, width and height, must be positive")
    rows.check((box[:, :2] + box[:, 2:] > 0).all(axis=1), "the box lies outside its frame, left of it or above it")
    rows.check(np.abs(rows.values[:, 1]) < 2**53, "column 2, target, is too large")
    for column, (what, codes) in enumerate(
        {"out-of-view": OUT_OF_VIEW, "occlusion": OCCLUSIONS, "category": CATEGORIES}.items(), start=6
    ):
        known = np.isin(rows.values[:, column], list(codes))
        rows.check(known, f"column {column + 1}, {what}, must be one of {_meaning(codes)}")
    return rows


def check_ignore(path: Path) -> Rows:
    """Read a `_gt_ignore.txt` and check every row. Regions after the last frame have no effect, neither in the toolkit."""
    rows = read_rows(path, (6, None), IGNORE)
    _check_frames(rows, None)
    _check_boxes(rows)
    return rows


def read_rows(path: Path, columns: tuple[int, int | None], layout: str) -> Rows:
    """Read a file of comma-separated numbers.

    Args:
        path: the file. An empty one is no rows, and so is a single row of frame 0: the official toolkit cannot read
            empty files, so its users put such a row, which its frame loop (from 1) never visits.
        columns: smallest and largest number of columns (None: no largest); all rows must have the same.
        layout: the names of the columns, for messages.

    Raises:
        UserError: the file cannot be read at all.
    """
    least, most = columns
    text = _text(path)
    if not text.strip():
        return Rows(path, np.zeros((0, least)))
    try:
        values = np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2, comments=None)
        fits = least <= values.shape[1] <= (most or values.shape[1]) and np.isfinite(values).all()
        rows = Rows(path, values) if fits else _read_line_by_line(path, columns, layout)
    except ValueError:
        rows = _read_line_by_line(path, columns, layout)
    if len(rows.values) == 1 and rows.values[0, 0] == 0:
        rows.values = rows.values[:0]
    return rows


def _read_line_by_line(path: Path, columns: tuple[int, int | None], layout: str) -> Rows:
    """Find the rows that the fast reader refused; the expected width is that of the first sound row."""
    least, most = columns
    wanted = f"{least}" if least == most else f"{least} or more"
    table: list[list[float]] = []
    lines, problems = [], []
    for number, line in _lines(path):
        cells = line.split(",")
        values = [_number(cell) for cell in cells]
        wrong = next((cell for cell, value in zip(cells, values) if not math.isfinite(value)), None)
        if len(cells) < least or (most is not None and len(cells) > most):
            problems.append((number, f"expected {wanted} comma-separated numbers, {layout}, but found {len(cells)}"))
        elif wrong is not None:
            problems.append((number, f"{wrong.strip()[:40]!r} is not a finite number; expected {layout}"))
        elif table and len(cells) != len(table[0]):
            problems.append((number, f"the rows above have {len(table[0])} columns, this one {len(cells)}"))
        else:
            table.append(values)
            lines.append(number)
    return Rows(path, np.array(table, float).reshape(len(table), -1 if table else least), lines, problems)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not blank, with their numbers."""
    return [(n, line.strip()) for n, line in enumerate(_text(path).split("\n"), 1) if line.strip()]


def _text(path: Path) -> str:
    return read_file(path, LARGEST).decode("utf-8-sig", errors="replace")


def _number(cell: str) -> float:
    """Return a number as NumPy reads it (Python alone would take 1_0 as well), NaN if it is none."""
    try:
        return float(cell) if cell.isascii() and "_" not in cell else math.nan
    except ValueError:
        return math.nan


def _check_frames(rows: Rows, length: int | None) -> None:
    frame = rows.values[:, 0]
    last = f" to {MOST_FRAMES}" if length is None else f" and the sequence has {length} frames"
    good = (frame >= 1) & (frame == np.floor(frame)) & (frame <= (MOST_FRAMES if length is None else length))
    rows.check(good, f"column 1, frame, must be a whole number; frames count from 1{last}")


def _check_boxes(rows: Rows) -> None:
    near = (np.abs(rows.values[:, 2:6]) <= FARTHEST).all(axis=1)
    rows.check(near, f"columns 3 to 6, the box, must be within {FARTHEST} pixels")


def _meaning(codes: dict[int, str]) -> str:
    return ", ".join(f"{key} {text}" for key, text in codes.items())
