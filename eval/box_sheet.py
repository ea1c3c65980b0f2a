"""Sheets of pictures with boxes: several side by side at one width, labels on a ground of their own, and a legend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torchvision.ops import box_iou

from eval.extremes import worst_and_best
from flsl.runtime.files import write_atomic

WIDTH, GAP, TEXT = 560, 8, 14  # pixels: of a picture, between them, of letters
COLUMNS = 2
BACKGROUND, INK = (250, 250, 250), (30, 30, 30)
TRUTH, IGNORED = (60, 220, 80), (150, 150, 150)
OVERLAP = 0.5  # from which a detection counts as having found an object
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """A box (left, top, right, bottom) in the picture's own pixels, with what is written above it."""

    corners: tuple[float, float, float, float]
    color: Color
    label: str = ""
    thick: int = 1
    veiled: bool = False  # filled with its color, so that one sees through


@dataclass(frozen=True)
class Picture:
    """One picture of a sheet: pixels (H, W, 3) uint8, boxes in drawing order, what it is, and how good, 0..1."""

    pixels: np.ndarray
    boxes: list[Box]
    name: str
    score: float


def found_share(truth: np.ndarray, found: np.ndarray) -> float:
    """Return the share of objects (n, 4) that a detection (m, 4) overlaps by `OVERLAP` or more; boxes are corners."""
    if not len(truth):
        return 1.0
    if not len(found):
        return 0.0
    overlaps = box_iou(torch.from_numpy(truth), torch.from_numpy(found))
    return float((overlaps >= OVERLAP).any(dim=1).double().mean())


def choose(pictures: Sequence[Picture]) -> list[Picture]:
    """Return the pictures of a sheet."""
    return worst_and_best(sorted(pictures, key=lambda picture: (picture.score, picture.name)))


def write_sheet(
    path: Path,
    pictures: Sequence[Picture],
    title: str,
    legend: Mapping[str, Color],
    score: str = "{:.0f} % of its objects found",
) -> Path:
    """Write the sheet (PNG) of the pictures, in their order; `legend` names the colors, `score` a picture's in percent."""
    columns = min(COLUMNS, len(pictures))
    cells = [_draw(picture) for picture in pictures]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + 2 * TEXT for row in rows]
    width, top = columns * (WIDTH + GAP) + GAP, 4 * TEXT
    sheet = Image.new("RGB", (width, top + sum(heights)), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=TEXT)
    pen.text((GAP, 4), title, INK, font=font)
    left = GAP
    for name, color in legend.items():
        pen.rectangle((left, TEXT + 12, left + TEXT, 2 * TEXT + 10), fill=color, outline=INK)
        pen.text((left + TEXT + 5, TEXT + 9), name, INK, font=font)
        left += round(font.getlength(name)) + 2 * TEXT + 12
    waiting = iter(pictures)
    for row, height in zip(rows, heights):
        for column, cell in enumerate(row):
            picture, left = next(waiting), GAP + column * (WIDTH + GAP)
            pen.text((left, top), f"{picture.name}: {score.format(100 * picture.score)}", INK, font=font)
            sheet.paste(cell, (left, top + TEXT + 5))
        top += height
    return write_atomic(path, lambda temporary: sheet.save(temporary, format="png"))


def _draw(picture: Picture) -> Image.Image:
    """Return the picture at the sheet's width, so that lines and letters have one size whatever its own is."""
    scale = WIDTH / picture.pixels.shape[1]
    size = (WIDTH, max(1, round(picture.pixels.shape[0] * scale)))
    image = Image.fromarray(picture.pixels).resize(size, Image.Resampling.BILINEAR)
    veil = Image.new("RGBA", size)
    covered, pen, font = ImageDraw.Draw(veil), ImageDraw.Draw(image), ImageFont.load_default(size=TEXT - 2)
    for box in picture.boxes:
        if box.veiled:
            covered.rectangle(_scaled(box, scale), fill=(*box.color, 130), outline=(*box.color, 255))
    image.paste(veil, mask=veil)
    open_boxes = [box for box in picture.boxes if not box.veiled]
    for box in open_boxes:
        pen.rectangle(_scaled(box, scale), outline=box.color, width=box.thick)
    for box in open_boxes:
        if box.label:
            left, top, *_ = _scaled(box, scale)
            place = (min(max(left, 0), WIDTH - font.getlength(box.label)), max(top - TEXT - 1, 0))
            light = sum(weight * part for weight, part in zip((0.3, 0.59, 0.11), box.color)) > 130
            pen.rectangle(pen.textbbox(place, box.label, font=font), fill=box.color)
            pen.text(place, box.label, (0, 0, 0) if light else (255, 255, 255), font=font)
    return image


def _scaled(box: Box, scale: float) -> tuple[float, float, float, float]:
    left, top, right, bottom = (length * scale for length in box.corners)
    return left, top, max(left, right), max(top, bottom)
