"""Contact sheets of videos: a row of moments over time, what was predicted above what is true, and painted masks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eval.propagation.video import MaskedVideo
from flsl.runtime.files import write_atomic
from flsl.runtime.images import read_bgr

COLORS = np.array(
    [
        (0, 0, 0), (255, 70, 60), (60, 200, 90), (70, 130, 255), (255, 190, 30), (200, 80, 255),
        (0, 210, 220), (255, 120, 190), (170, 220, 40), (255, 140, 50), (150, 150, 255),
    ],
    dtype=np.uint8,
)  # fmt: skip
CELL = 216  # width of a picture in pixels
MOMENTS = 5  # pictures a row, of as many different frames
FEWEST = 3  # columns that the title takes
SHOWN = 3  # videos of a sheet that are worst, and that are best
TEXT = 17
BACKGROUND, INK, GRAY = (250, 250, 250), (30, 30, 30), 96


@dataclass(frozen=True)
class Cell:
    """One moment: pictures (H, W, 3) uint8 RGB of one size, `CELL` wide, below each other, and a line below them, if any."""

    pictures: tuple[np.ndarray, ...]
    text: str = ""


@dataclass(frozen=True)
class Row:
    """A line above, and moments from left to right; a square of a color before the line tells what is painted so."""

    title: str
    cells: tuple[Cell, ...]
    color: tuple[int, ...] | None = None

    @property
    def height(self) -> int:
        """Pixels that it takes on the sheet."""
        below = TEXT + 2 if any(cell.text for cell in self.cells) else 0
        return sum(len(picture) + 2 for picture in self.cells[0].pictures) + TEXT + 6 + below


def write_sheet(rows: Sequence[Row], title: str, path: Path, colors: int | None = None) -> None:
    """Write rows below each other (PNG), under a title unless it is empty; only so many `colors` make the file small."""
    columns = max([FEWEST if title else 1, *(len(row.cells) for row in rows)])
    top, margin = (2 * TEXT, 0) if title else (2, 2)
    height = top + sum(row.height for row in rows) + margin
    sheet = Image.new("RGB", (columns * (CELL + 6) + 6, height), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=TEXT - 2)
    pen.text((6, 4), title, INK, font=font)
    for row in rows:
        if row.color is not None:
            pen.rectangle((6, top + 2, 16, top + 12), fill=row.color)
        pen.text((6 if row.color is None else 22, top), row.title, INK, font=font)
        for column, cell in enumerate(row.cells):
            left, below = 6 + column * (CELL + 6), top + TEXT + 2
            for picture in cell.pictures:
                sheet.paste(Image.fromarray(picture), (left, below))
                below += len(picture) + 2
            pen.text((left, below), cell.text, INK, font=font)
        top += row.height
    drawn = sheet if colors is None else sheet.quantize(colors)
    write_atomic(path, lambda temporary: drawn.save(temporary, "PNG", optimize=colors is not None))


def painted_row(
    title: str, video: MaskedVideo, shown: Sequence[int], read: Callable[[int], Sequence[np.ndarray]]
) -> Row:
    """Return a row of frames of a video with masks over them.

    Args:
        title: above.
        video: frames may be missing: they are gray then.
        shown: indices of frames.
        read: gives for each its masks (H, W), the picture of the first above those of the others.
    """
    size = cell_size(video.size)
    cells = []
    for index in shown:
        frame = read_shown(video.frames, index, video.size)
        pictures = tuple(paint(frame, labels, size) for labels in read(index))
        cells.append(Cell(pictures, video.masks[index].stem))
    return Row(title, tuple(cells))


def moments(frames: int) -> list[int]:
    """Return frames over the whole length, each once: fewer than MOMENTS where there are fewer."""
    return np.linspace(0, frames - 1, min(frames, MOMENTS)).round().astype(int).tolist()


def read_shown(frames: Sequence[Path], index: int, size: tuple[int, int]) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 BGR; where there are annotations alone, plain gray of a size (height, width)."""
    return read_bgr(frames[index]) if frames else np.full((*size, 3), GRAY, np.uint8)


def cell_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the picture of a frame whose height and width are given; a very long one is squeezed."""
    return CELL, min(max(round(CELL * size[0] / size[1]), 1), 4 * CELL)


def color_of(number: int | np.ndarray) -> np.ndarray:
    """Return the color of an id; ids beyond the list begin it again after the background."""
    return COLORS[np.where(np.asarray(number) > 0, (np.asarray(number) - 1) % (len(COLORS) - 1) + 1, 0)]


def paint(frame: np.ndarray, labels: np.ndarray, size: tuple[int, int], number: int | None = None) -> np.ndarray:
    """Return a frame (H, W, 3) BGR in a size (width, height) with all ids of `labels` (H, W), or one, painted over it; RGB."""
    picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)[:, :, ::-1]
    labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    shown = labels > 0 if number is None else labels == number
    painted = np.where(shown[..., None], picture // 2 + color_of(labels) // 2, picture)
    outline = cv2.morphologyEx(labels * shown, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    painted[outline & shown] = 255
    return np.ascontiguousarray(painted.astype(np.uint8))
