"""Comma-separated rows of numbers, the one text format that UAVDT uses; errors name the file and the line."""

import math
from pathlib import Path
from typing import NoReturn

import numpy as np

from flsl.runtime.errors import UserError


def read_rows(path: Path, columns: tuple[int, int | None], layout: str) -> np.ndarray:
    """Read a file of comma-separated numbers.

    Args:
        path: the file. An empty one is no rows, and so is a single row of frame 0: the official toolkit cannot read
            empty files, so its users put such a row, which its frame loop (from 1) never visits.
        columns: smallest and largest number of columns (None: no largest); all rows must have the same.
        layout: the names of the columns, for messages.

    Returns:
        (rows, columns) float64; shape (0, smallest) for an empty file.

    Raises:
        UserError: the file cannot be read, or a row is malformed; the message names the line.
    """
    try:
        if not path.read_bytes().strip():
            return np.zeros((0, columns[0]))
        rows = np.loadtxt(path, delimiter=",", ndmin=2, comments=None, encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError:
        _raise_first_bad_line(path, columns, layout)
    fits = columns[0] <= rows.shape[1] <= (columns[1] or rows.shape[1])
    if not fits or not np.isfinite(rows).all():
        _raise_first_bad_line(path, columns, layout)
    return rows[:0] if len(rows) == 1 and rows[0, 0] == 0 else rows


def raise_at_row(path: Path, row: int, problem: str) -> NoReturn:
    """Raise a UserError that names the line of the 0-based `row` (blank lines are not rows) and shows it."""
    lines = [(n, line) for n, line in enumerate(_lines(path), 1) if line.strip()]
    number, line = lines[row]
    raise UserError(f"{path}, line {number}: {problem} (the line reads {line.strip()[:80]!r}).")


def check_rows(path: Path, good: np.ndarray, problem: str) -> None:
    """Raise a UserError at the first row where the boolean array `good` is false."""
    if not good.all():
        raise_at_row(path, int(np.argmin(good)), problem)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def _raise_first_bad_line(path: Path, columns: tuple[int, int | None], layout: str) -> NoReturn:
    """Find the row that the fast reader refused; the expected width is that of the first row."""
    least, most = columns
    wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
    row = -1
    width = None
    for line in _lines(path):
        if not line.strip():
            continue
        row += 1
        cells = line.split(",")
        if len(cells) < least or (most is not None and len(cells) > most):
            raise_at_row(path, row, f"expected {wanted} comma-separated numbers, {layout}, but found {len(cells)}")
        width = width or len(cells)
        if len(cells) != width:
            raise_at_row(path, row, f"the rows above have {width} columns, this one {len(cells)}")
        for cell in cells:
            try:
                number = float(cell)
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                raise_at_row(path, row, f"{cell.strip()!r} is not a finite number; expected {layout}")
    raise UserError(f"{path} is not a plain text file of comma-separated numbers ({layout}).")
