"""Pictures of a COCO run: precision-recall curves with the size breakdown, and a sheet of images with detections."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from eval.box_sheet import TRUTH, Box, Picture, choose, found_share, write_sheet
from eval.detector.annotations import Annotations
from eval.metrics.coco import AREAS, RECALLS, Evaluation
from flsl.runtime.files import write_atomic
from flsl.runtime.images import read_rgb

COLORS = [(230, 60, 60), (60, 160, 240), (250, 180, 40), (170, 90, 230), (60, 200, 160), (240, 120, 200)]
CANDIDATES = 24  # images with most objects, of which a sheet shows some


def draw_curves(path: Path, evaluations: list[Evaluation]) -> Path | None:
    """Write precision over recall at three overlaps (mean over categories), and AP by object size, one row a kind.

    Sizes of which there is no object have no bar. Returns None, and leaves no file, where nothing right was found.
    """
    path.unlink(missing_ok=True)
    evaluations = [evaluation for evaluation in evaluations if evaluation.scores["AP50"]]
    if not evaluations:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4 * len(evaluations)))
    axes = figure.subplots(len(evaluations), 2, squeeze=False)
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
        scores = [(area, evaluation.scores[name]) for area, name in zip(AREAS, ("AP", "APs", "APm", "APl"))]
        measured = [(area, score) for area, score in scores if score is not None]
        bars = sizes.bar([area for area, _ in measured], [score for _, score in measured])
        sizes.bar_label(bars, [f"{score:.1f}" for _, score in measured])
        sizes.set(ylabel="AP in percent", ylim=(0, 105), title=f"{evaluation.kind}: AP by object size")
    figure.tight_layout()
    return write_atomic(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))


def draw_overlay(path: Path, truth: Annotations, detections: list[dict[str, Any]], images: Path) -> Path | None:
    """Write a sheet of images with many objects, worst first: ground truth green, detections by category, with score and mask.

    As many detections are drawn as an image has objects (at least 5): more would hide the picture. Images that are not
    there, or are others than were annotated, are left out; returns None, and writes nothing, where none remains.
    """
    of_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for detection in detections:
        of_image[detection["image_id"]].append(detection)
    crowded = sorted(truth.images, key=lambda entry: -len(truth.of_image.get(entry["id"], ())))[:CANDIDATES]
    pictures = [_picture(truth, of_image[entry["id"]], entry, images / entry["file_name"]) for entry in crowded]
    chosen = choose([picture for picture in pictures if picture])
    if not chosen:
        return None
    used = {box.label.rpartition(" ")[0] for picture in chosen for box in picture.boxes if box.label}
    names = {name: COLORS[index % len(COLORS)] for index, name in enumerate(truth.category_names) if name in used}
    title = f"Worst first, then the best, of the {len(crowded)} images with most objects"
    return write_sheet(path, chosen, title, {"ground truth": TRUTH, **names})


def _picture(truth: Annotations, found: list[dict[str, Any]], image: dict[str, Any], file: Path) -> Picture | None:
    """Return an image with its objects and best detections; None if it is not the one that was annotated."""
    from pycocotools import mask as rle

    if not file.is_file():
        return None
    pixels = read_rgb(file)
    if pixels.shape[:2] != (image["height"], image["width"]):
        return None
    objects = truth.of_image.get(image["id"], [])
    best = sorted(found, key=lambda detection: -detection["score"])[: max(5, len(objects))]
    names = {category["id"]: (index, category["name"]) for index, category in enumerate(truth.categories)}
    boxes = [Box(_corners(annotation["bbox"]), TRUTH, thick=2) for annotation in objects]
    for detection in reversed(best):
        index, name = names[detection["category_id"]]
        color = COLORS[index % len(COLORS)]
        if "segmentation" in detection:
            inside = rle.decode(detection["segmentation"]).astype(bool)
            pixels[inside] = (pixels[inside] * 0.5 + np.array(color) * 0.5).astype(np.uint8)
        boxes.append(Box(_corners(detection["bbox"]), color, f"{name} {detection['score']:.2f}"))
    shares = [
        found_share(
            *(_rows(entry["bbox"] for entry in entries if entry["category_id"] == key) for entries in (objects, best))
        )
        for key in [entry["category_id"] for entry in objects]
    ]
    return Picture(pixels, boxes, file.name, float(np.mean(shares)) if shares else 1.0)


def _rows(boxes: Iterable[list[float]]) -> np.ndarray:
    return np.array([_corners(box) for box in boxes]).reshape(-1, 4)


def _corners(box: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x, y, x + max(width, 0), y + max(height, 0)
