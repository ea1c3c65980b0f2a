"""Check a copy of COCO 2017, or a data set in its layout: JSON references, pictures, sizes, boxes and masks."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from eval.data.verify.files import read_all, read_picture
from eval.data.verify.report import Report, open_report

OFFICIAL = {"train2017": (118_287, 860_001), "val2017": (5_000, 36_781)}  # images, annotations
CATEGORIES = 80
ARCHIVES = {"train2017": "train2017.zip (2017 Train images)", "val2017": "val2017.zip (2017 Val images)"}
GET_JSON = (
    "Get annotations_trainval2017.zip (2017 Train/Val annotations) from cocodataset.org, Download, and unpack it again."
)
CORRECT = f"Correct the annotation file. {GET_JSON}"


def verify(root: Path, decode: bool = True) -> Report:
    """Check `annotations/instances_{train,val}2017.json` and their pictures.

    Raises UserError for a wrong or empty folder (`open_report`).
    """
    report = open_report(root, "coco", {"annotations": GET_JSON})
    if not (root / "annotations").is_dir():
        return report
    found = [split for split in OFFICIAL if (root / "annotations" / f"instances_{split}.json").is_file()]
    for split in OFFICIAL:
        if split in found:
            _verify_split(report, split, decode)
        elif found:
            report.notes.append(f"annotations/instances_{split}.json is missing. {GET_JSON}")
    if not found:
        inside = ", ".join(sorted(path.name for path in (root / "annotations").iterdir())[:8]) or "nothing"
        report.problem(
            "annotations", f"neither instances_train2017.json nor instances_val2017.json (found: {inside})", GET_JSON
        )
    report.complete = report.marker is None and len(found) == len(OFFICIAL) and report.counts_are_official()
    if not report.complete and not report.marker:
        report.notes.append("official are 118,287 pictures in train2017 and 5,000 in val2017, from cocodataset.org")
    return report


def _verify_split(report: Report, split: str, decode: bool) -> None:
    """Check one annotation file and the folder of its pictures."""
    path = report.root / "annotations" / f"instances_{split}.json"
    content = _read_json(report, path)
    if content is None:
        return
    images, annotations, categories = (content[key] for key in ("images", "annotations", "categories"))
    for key, entries in (("images", images), ("annotations", annotations), ("categories", categories)):
        for number, times in Counter(entry.get("id") for entry in entries).items():
            if times > 1:
                report.problem(path, f"{key}: id {number} comes {times} times", f"Ids must be unique. {CORRECT}")
    for name, times in Counter(image.get("file_name") for image in images).items():
        if times > 1:
            report.problem(path, f"images: {name} is listed {times} times", f"List every file once. {CORRECT}")
    if not categories:
        report.problem(path, "no categories", CORRECT)

    sizes = {image.get("id"): (image.get("width", 0), image.get("height", 0)) for image in images}
    known = {category.get("id") for category in categories}
    # The official files have a few boxes without area: no fault of this copy, and training leaves them out.
    is_official = report.marker is None and len(annotations) == OFFICIAL[split][1]
    odd = []
    for annotation in annotations:
        where = f"{path.name}, annotation {annotation.get('id')}"
        for key, values in (("image_id", sizes), ("category_id", known)):
            if annotation.get(key) not in values:
                section = "images" if key == "image_id" else "categories"
                report.problem(where, f"{key} {annotation.get(key)} is not in {section}", CORRECT)
        if annotation.get("image_id") in sizes:
            width, height = sizes[annotation["image_id"]]
            odd += [(where, text) for text in _shape_problems(annotation, width, height)]
    if odd and is_official:
        report.notes.append(f"{path.name} has {len(odd)} odd annotations, as published, e.g. {odd[0][0]}: {odd[0][1]}")
    else:
        for where, text in odd:
            report.problem(where, text, f"Remove the annotation or correct it. {GET_JSON}")
    empty = len(images) - len({annotation.get("image_id") for annotation in annotations})
    report.count(f"pictures of {split}", _verify_pictures(report, split, images, decode), OFFICIAL[split][0])
    report.count(f"annotations of {split}", len(annotations), OFFICIAL[split][1])
    report.count(f"categories of {split}", len(categories), CATEGORIES)
    report.count(f"crowds of {split}", sum(bool(annotation.get("iscrowd")) for annotation in annotations))
    report.count(f"pictures of {split} without annotation", empty)


def _read_json(report: Report, path: Path) -> dict[str, Any] | None:
    """Return the annotation file's content, None where it cannot be used at all."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        report.problem(path, f"not valid JSON ({error})", GET_JSON)
        return None
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in lists):
        report.problem(path, f"must hold an object with the lists {', '.join(lists)}", GET_JSON)
        return None
    broken = [key for key in lists if not all(isinstance(entry, dict) for entry in content[key])]
    if broken:
        report.problem(path, f"{broken[0]} must be a list of objects", GET_JSON)
        return None
    return content


def _shape_problems(annotation: dict[str, Any], width: int, height: int) -> list[str]:
    """Return what is wrong with the box and mask of one annotation in a picture of width x height."""
    problems = []
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, int | float) for value in box):
        problems.append(f"bbox is {box}, not [left, top, width, height]")
    elif min(box[2:]) <= 0:
        problems.append(f"box {box} has no area")
    elif box[0] >= width or box[1] >= height or box[0] + box[2] <= 0 or box[1] + box[3] <= 0:
        problems.append(f"box {box} lies outside its picture of {width}x{height}")
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if segmentation.get("size") != [height, width]:
            problems.append(f"run lengths of size {segmentation.get('size')} in a picture of {[height, width]}")
        elif isinstance(counts, list) and sum(n for n in counts if isinstance(n, int)) != height * width:
            problems.append(f"run lengths that do not add up to the picture's {height * width} pixels")
    elif not isinstance(segmentation, list):
        problems.append("no segmentation")
    elif annotation.get("iscrowd"):
        problems.append("a crowd with polygons instead of run lengths")
    elif not segmentation or not all(isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 for p in segmentation):
        problems.append("a polygon needs at least three points x, y")
    return problems


def _verify_pictures(report: Report, split: str, images: list[dict[str, Any]], decode: bool) -> int:
    """Check the pictures of a split against its annotation file; returns how many readable ones there are."""
    folder = report.root / split
    get = f"Get {ARCHIVES[split]} from cocodataset.org, Download, and unpack it again."
    if not folder.is_dir():
        report.problem(split, f"the folder of the {len(images):,} pictures is missing", get)
        return 0
    readable = 0
    paths = [folder / str(image.get("file_name")) for image in images]
    for image, path, picture in zip(images, paths, read_all(partial(read_picture, decode=decode), paths, split)):
        if picture.error:
            report.problem(path, picture.error, get)
            continue
        readable += 1
        listed = f"{image.get('width')}x{image.get('height')}"
        if picture.size != listed:
            report.problem(path, f"{picture.size}, but the annotation file says {listed}", get)
    extra = {path.name for path in folder.iterdir()} - {path.name for path in paths}
    if extra:
        report.notes.append(f"{split}: {len(extra)} files that the annotation file does not name, e.g. {min(extra)}")
    return readable
