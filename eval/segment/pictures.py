"""A sheet of evaluated images: image, truth, prediction and error side by side, the worst first, the best at the end."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eval.extremes import worst_and_best
from eval.segment.predictions import COLORS
from eval.segment.scoring import Scored, Scores
from flsl.confusion import VOID
from flsl.runtime.files import write_atomic

CELL, GAP, TEXT = 240, 6, 15  # pixels
BACKGROUND, INK = (250, 250, 250), (30, 30, 30)
WRONG, UNKNOWN = np.array((225, 40, 40)), np.array((250, 250, 250))
COLUMNS = ("image", "truth", "prediction", "error (red), void (white)")


def write_sheet(scored: Scored, scores: Scores, title: str, path: Path) -> None:
    """Write the sheet (PNG) of the images with the lowest and highest scores."""
    numbers = {scored.split.names[image]: image for image in scored.chosen}
    ranked = sorted((next(iter(score.values())), name) for name, score in scores.per_image.items())
    rows = [(score, name, _row(scored, scores, numbers[name])) for score, name in worst_and_best(ranked)]
    width = len(COLUMNS) * (CELL + GAP) + GAP
    legend = _legend(scored, [row for _, _, row in rows], width)
    height = 3 * TEXT + sum(row[1][0].shape[0] + 2 * TEXT for *_, row in rows) + legend.height
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=TEXT - 2)
    pen.text((GAP, 4), f"{title}: the worst images, then the best", INK, font=font)
    for column, heading in enumerate(COLUMNS):
        pen.text((GAP + column * (CELL + GAP), TEXT + 6), heading, INK, font=font)
    top = 3 * TEXT
    for score, name, (_, pictures) in rows:
        pen.text((GAP, top - 3), f"{name}: mIoU over its classes {score:.1f}", INK, font=font)
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (GAP + column * (CELL + GAP), top + TEXT))
        top += pictures[0].shape[0] + 2 * TEXT
    sheet.paste(legend, (0, top))
    write_atomic(path, sheet.save)


def _row(scored: Scored, scores: Scores, image: int) -> tuple[set[int], list[np.ndarray]]:
    """Return the classes that are in truth or prediction, and the four pictures (h, CELL, 3) uint8."""
    truth, prediction = scored.truth(image), scores.prediction(image)
    pixels = scored.split.image(image)
    size = (CELL, max(1, round(CELL * pixels.shape[0] / pixels.shape[1])))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    true, found = (
        np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
        for mask in (truth, prediction)
    )
    gray = np.repeat(small.mean(axis=2, keepdims=True), 3, axis=2)
    error = np.where(((true != found) & (true != VOID))[..., None], gray / 3 + 2 * WRONG / 3, gray)
    error = np.where((true == VOID)[..., None], UNKNOWN, error).astype(np.uint8)
    held = {*np.unique(true).tolist(), *np.unique(found).tolist()} - {VOID}
    return held, [small, COLORS[true], COLORS[found], error]


def _legend(scored: Scored, rows: list[tuple[set[int], list[np.ndarray]]], width: int) -> Image.Image:
    """Draw the colors of the classes that the sheet shows."""
    held = sorted(set().union(*(classes for classes, _ in rows)))
    font = ImageFont.load_default(size=TEXT - 2)
    places, left, top = [], GAP, 0
    for number in held:
        wide = 26 + int(font.getlength(scored.classes[number]))
        if left + wide > width and left > GAP:
            left, top = GAP, top + TEXT + 3
        places.append((number, left, top))
        left += wide
    picture = Image.new("RGB", (width, top + 2 * TEXT), BACKGROUND)
    pen = ImageDraw.Draw(picture)
    for number, left, top in places:
        pen.rectangle((left, top + 2, left + 12, top + 14), fill=tuple(COLORS[number].tolist()), outline=INK)
        pen.text((left + 17, top), scored.classes[number], INK, font=font)
    return picture
