"""Saved detections as COCO results: read them, and refuse what cannot be scored, anyone's included."""

import json
import math
from pathlib import Path
from typing import Any

from eval.detector.annotations import Annotations
from flsl.runtime.errors import UserError


def read_detections(path: Path, truth: Annotations) -> list[dict[str, Any]]:
    """Read a COCO results JSON.

    Raises:
        UserError: no such file, or it does not fit the annotations (`check_detections`).
    """
    if not path.is_file():
        raise UserError(f"there are no saved detections {path}. --predictions names a COCO results JSON.")
    try:
        detections = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"detections {path} are not valid JSON: {error}") from error
    check_detections(truth, detections, str(path))
    return detections


def check_detections(truth: Annotations, detections: Any, where: str) -> None:
    """Check COCO results against the annotations that they are to be scored with.

    Raises:
        UserError: not a list of results, a key is missing, a value cannot be, an image or category is unknown, or only
            some of the results have masks.
    """
    if not isinstance(detections, list):
        raise UserError(f"{where} must hold a list of COCO results, [{{image_id, category_id, bbox, score}}, ...]")
    images = {image["id"]: [image["height"], image["width"]] for image in truth.images}
    categories = set(truth.category_ids)
    masks = any("segmentation" in detection for detection in detections)
    needed = ("image_id", "category_id", "bbox", "score", *(["segmentation"] if masks else []))
    for index, detection in enumerate(detections):
        name = f"{where}: result {index}"
        missing = [key for key in needed if key not in detection]
        if missing:
            others = " that others have" if missing[0] == "segmentation" else ""
            raise UserError(f"{name} lacks the key {missing[0]!r}{others}")
        if detection["image_id"] not in images:
            raise UserError(f"{name} is for image {detection['image_id']}, not in {truth.path}")
        if detection["category_id"] not in categories:
            raise UserError(f"{name} has category {detection['category_id']}, not in {truth.path}")
        if not _are_numbers([detection["score"]]):
            raise UserError(f"{name} must have a finite number as score, but has {detection['score']!r}")
        box = detection["bbox"]
        if not isinstance(box, list) or len(box) != 4 or not _are_numbers(box):
            raise UserError(f"{name} must have a bbox [x, y, width, height], but has {box!r}")
        if masks:
            _check_mask(detection["segmentation"], images[detection["image_id"]], name)
    if masks:
        _check_truth(truth, where)


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)


def _check_mask(code: Any, size: list[int], name: str) -> None:
    if not isinstance(code, dict) or not isinstance(code.get("counts"), (str, bytes)):
        raise UserError(
            f"{name} must have its mask as compressed RLE {{size, counts}}; pycocotools.mask.encode makes it"
        )
    if list(code.get("size", ())) != size:
        raise UserError(f"{name} has a mask of size {code.get('size')}, but its image is {size} (height, width)")


def _check_truth(truth: Annotations, where: str) -> None:
    for annotations in truth.of_image.values():
        for annotation in annotations:
            if not annotation.get("segmentation"):
                raise UserError(
                    f"{where} has masks, but annotation {annotation['id']} of {truth.path} has no segmentation to compare "
                    "them with. Use an instances file with masks, or take the results' segmentation out."
                )
