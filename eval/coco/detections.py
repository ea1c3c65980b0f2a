"""Saved detections as COCO results: read them, and refuse what cannot be scored, anyone's included."""

import sys
from pathlib import Path
from typing import Any

from eval.detector.annotation_checks import are_numbers, box_fault, code_fault, shown
from eval.detector.annotations import Annotations, read_json
from eval.detector.mask_code import pixels_of_codes
from flsl.runtime.errors import UserError


def read_detections(path: Path, truth: Annotations) -> list[dict[str, Any]]:
    """Read a COCO results JSON.

    Raises:
        UserError: no such file, or it does not fit the annotations (`check_detections`).
    """
    if not path.is_file():
        raise UserError(f"there are no saved detections {path}. --predictions names a COCO results JSON.")
    detections = read_json(path)
    check_detections(truth, detections, str(path))
    return detections


def check_detections(truth: Annotations, detections: Any, where: str) -> None:
    """Check COCO results against the annotations that they are to be scored with.

    Raises:
        UserError: not a list of results, a key is missing, a value cannot be, an image or category is unknown, or only
            some of the results have masks.
    """
    if not isinstance(detections, list) or not all(isinstance(detection, dict) for detection in detections):
        raise UserError(f"{where} must hold a list of COCO results, [{{image_id, category_id, bbox, score}}, ...]")
    sizes = {image["id"]: [image["height"], image["width"]] for image in truth.images}
    categories = set(truth.category_ids)
    masks = any("segmentation" in detection for detection in detections)
    needed = ("image_id", "category_id", "bbox", "score", *(["segmentation"] if masks else []))
    for index, detection in enumerate(detections):
        name = f"{where}: result {index}"
        missing = [key for key in needed if key not in detection]
        if missing:
            others = " that others have" if missing[0] == "segmentation" else ""
            raise UserError(f"{name} lacks the key {missing[0]!r}{others}")
        image, category, score = detection["image_id"], detection["category_id"], detection["score"]
        if type(image) is not int or image not in sizes:
            raise UserError(f"{name} is for image {shown(image)}, not in {truth.path}")
        if type(category) is not int or category not in categories:
            raise UserError(f"{name} has category {shown(category)}, not in {truth.path}")
        if not are_numbers([score], sys.float_info.max):
            raise UserError(f"{name} must have a finite number as score, but has {shown(score)}")
        if fault := box_fault(detection["bbox"]):
            raise UserError(f"{name}: {fault}")
        if masks:
            _check_size(detection["segmentation"], sizes[image], name)
    if masks:
        pixels = pixels_of_codes([detection["segmentation"]["counts"] for detection in detections]).tolist()
        for index, (detection, found) in enumerate(zip(detections, pixels)):
            height, width = sizes[detection["image_id"]]
            if found != height * width:
                raise UserError(f"{where}: result {index}: segmentation: {code_fault(found, height * width)}")
        _check_truth(truth, where)


def _check_size(code: Any, size: list[int], name: str) -> None:
    if not isinstance(code, dict) or not isinstance(code.get("counts"), str):
        raise UserError(
            f"{name} must have its mask as compressed RLE {{size, counts}}; pycocotools.mask.encode makes it"
        )
    if code.get("size") != size:
        raise UserError(f"{name} has a mask of size {shown(code.get('size'))}, but its image is {size} (height, width)")


def _check_truth(truth: Annotations, where: str) -> None:
    for annotations in truth.of_image.values():
        for annotation in annotations:
            if not annotation.get("segmentation"):
                raise UserError(
                    f"{where} has masks, but annotation {annotation['id']} of {truth.path} has no segmentation to compare "
                    "them with. Use an instances file with masks, or take the results' segmentation out."
                )
