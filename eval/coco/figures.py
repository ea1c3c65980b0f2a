"""Pictures of a COCO run: precision-recall curves with the size breakdown, and one image with its detections."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from eval.detector.annotations import Annotations
from eval.metrics.coco import AREAS, RECALLS, Evaluation
from flsl.runtime.files import write_atomic
from flsl.runtime.images import read_rgb

COLORS = [(230, 60, 60), (60, 160, 240), (250, 180, 40), (170, 90, 230), (60, 200, 160), (240, 120, 200)]
TRUTH_COLOR = (60, 220, 80)


def draw_curves(path: Path, evaluations: list[Evaluation]) -> Path:
    """Write precision over recall at three overlaps (mean over categories), and AP by object size, one row a kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(evaluations), 2, figsize=(9, 3.4 * len(evaluations)), squeeze=False)
    for (curves, sizes), evaluation in zip(axes, evaluations):
        for index, overlap in ((0, "0.50"), (5, "0.75"), (9, "0.95")):
            precision = np.ma.masked_less(evaluation.precision[index, :, :, 0], 0)
            curves.plot(RECALLS, precision.mean(axis=1).filled(np.nan), label=f"IoU {overlap}")
        curves.set(
            xlabel="recall",
            ylabel="precision",
            xlim=(0, 1),
            ylim=(0, 1.02),
            title=f"{evaluation.kind}: mean of classes",
        )
        curves.legend()
        names = ["AP", "APs", "APm", "APl"]
        bars = sizes.bar(AREAS, [evaluation.scores[name] or 0.0 for name in names])
        labels = ["none" if evaluation.scores[name] is None else f"{evaluation.scores[name]:.1f}" for name in names]
        sizes.bar_label(bars, labels)
        sizes.set(ylabel="AP in percent", ylim=(0, 105), title=f"{evaluation.kind}: AP by object size")
    figure.tight_layout()
    write_atomic(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))
    pyplot.close(figure)
    return path


def draw_overlay(path: Path, truth: Annotations, detections: list[dict[str, Any]], images: Path) -> Path | None:
    """Write the image with most objects: ground truth green, detections by category with score and mask.

    As many detections are drawn as the image has objects (at least 5): more would hide the picture. Returns None, and
    writes nothing, where the image is not there, or is another one than was annotated.
    """
    from pycocotools import mask as rle

    image = max(truth.images, key=lambda entry: len(truth.of_image.get(entry["id"], ())))
    file = images / image["file_name"]
    if not file.is_file():
        return None
    pixels = read_rgb(file)
    if pixels.shape[:2] != (image["height"], image["width"]):
        return None
    objects = truth.of_image.get(image["id"], [])
    found = [detection for detection in detections if detection["image_id"] == image["id"]]
    best = sorted(found, key=lambda detection: -detection["score"])[: max(5, len(objects))]
    names = {category["id"]: (index, category["name"]) for index, category in enumerate(truth.categories)}
    for detection in reversed(best):
        if "segmentation" in detection:
            inside = rle.decode(detection["segmentation"]).astype(bool)
            tint = np.array(COLORS[names[detection["category_id"]][0] % len(COLORS)])
            pixels[inside] = (pixels[inside] * 0.5 + tint * 0.5).astype(np.uint8)
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    for annotation in objects:
        pen.rectangle(_corners(annotation["bbox"]), outline=TRUTH_COLOR, width=2)
    for detection in best:
        index, name = names[detection["category_id"]]
        color, corners = COLORS[index % len(COLORS)], _corners(detection["bbox"])
        pen.rectangle(corners, outline=color)
        pen.text((corners[0] + 2, max(corners[1] - 11, 0)), f"{name} {detection['score']:.2f}", fill=color)
    return write_atomic(path, lambda temporary: picture.save(temporary, format="png"))


def _corners(box: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x, y, x + max(width, 0), y + max(height, 0)
