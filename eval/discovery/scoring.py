"""CorLoc, and a picture of the worst and best images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torchvision.ops import box_iou

from eval.box_sheet import OVERLAP, TRUTH, Box, Picture, write_sheet
from eval.discovery.data import ImageObjects
from eval.extremes import worst_and_best
from flsl.runtime.images import ImageError, read_rgb

FOUND = (230, 60, 60)


def overlaps_of(images: Sequence[ImageObjects], boxes: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Return the overlap (intersection over union) of each image's box with the object that it fits best, (n,) in 0..1."""
    best = []
    for image in images:
        truth, box = (
            torch.tensor(np.array(corners), dtype=torch.float64) for corners in (image.boxes, [boxes[image.name]])
        )
        best.append(float(box_iou(truth, box).nan_to_num().max()))
    return np.array(best)


def correct(overlaps: np.ndarray) -> np.ndarray:
    """Return CorLoc of each image, 0 or 100: whether its box overlaps an object by a half or more."""
    return 100.0 * (overlaps >= OVERLAP)


def write_pictures(
    path: Path, images: Sequence[ImageObjects], boxes: Mapping[str, Sequence[float]], overlaps: np.ndarray, title: str
) -> Path | None:
    """Write the sheet of the worst and best images that can be read; returns None, and writes nothing, where none can."""
    pictures = []
    ranked = sorted(range(len(images)), key=lambda index: (overlaps[index], images[index].name))
    for index in worst_and_best(ranked):
        image = images[index]
        try:
            pixels = read_rgb(image.path)
        except ImageError:
            continue  # boxes can be scored without images
        drawn = [Box(tuple(corners), TRUTH, thick=2) for corners in image.boxes.tolist()]
        left, top, right, bottom = boxes[image.name]
        drawn.append(Box((left, top, right, bottom), FOUND, thick=3))
        pictures.append(Picture(pixels, drawn, image.name, float(overlaps[index])))
    if not pictures:
        path.unlink(missing_ok=True)
        return None
    legend = {"objects": TRUTH, "the box that was found": FOUND}
    return write_sheet(path, pictures, title, legend, "overlap with an object {:.0f} %")
