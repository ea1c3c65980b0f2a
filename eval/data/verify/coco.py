"""Check a copy of COCO 2017, or a data set in its layout: JSON references, pictures, sizes, boxes and masks."""

from functools import partial
from pathlib import Path
from typing import Any

from eval.data.verify.files import read_all, read_picture
from eval.data.verify.report import Report, open_report
from eval.detector.annotation_checks import find_faults
from eval.detector.annotations import read_json
from flsl.runtime.errors import UserError

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
    try:
        content = read_json(path)
    except UserError as error:
        report.problem(path, str(error), GET_JSON)
        return
    faults = list(find_faults(content, masks=True))
    for fault in faults:
        if fault.kind != "odd":
            report.problem(path, str(fault), CORRECT)
    if any(fault.kind == "unusable" for fault in faults):
        return
    images, annotations, categories = (content[key] for key in ("images", "annotations", "categories"))
    odd = [str(fault) for fault in faults if fault.kind == "odd"]
    # The official files have a few boxes without area: no fault of this copy, and training leaves them out.
    if odd and report.marker is None and len(annotations) == OFFICIAL[split][1]:
        report.notes.append(f"{path.name} has {len(odd)} odd annotations, as published, e.g. {odd[0]}")
    else:
        for text in odd:
            report.problem(path, text, f"Remove the entry or correct it. {GET_JSON}")
    wrong = {fault.where for fault in faults if fault.kind == "wrong"}
    sound = [image for index, image in enumerate(images) if f"images[{index}]" not in wrong]
    empty = len(images) - len({str(annotation["image_id"]) for annotation in annotations})
    report.count(f"pictures of {split}", _verify_pictures(report, split, sound, decode), OFFICIAL[split][0])
    report.count(f"annotations of {split}", len(annotations), OFFICIAL[split][1])
    report.count(f"categories of {split}", len(categories), CATEGORIES)
    report.count(f"crowds of {split}", sum(bool(annotation.get("iscrowd")) for annotation in annotations))
    report.count(f"pictures of {split} without annotation", empty)


def _verify_pictures(report: Report, split: str, images: list[dict[str, Any]], decode: bool) -> int:
    """Check the pictures of a split against its annotation file; returns how many readable ones there are."""
    folder = report.root / split
    get = f"Get {ARCHIVES[split]} from cocodataset.org, Download, and unpack it again."
    if not folder.is_dir():
        report.problem(split, f"the folder of the {len(images):,} pictures is missing", get)
        return 0
    readable = 0
    paths = [folder / image["file_name"] for image in images]
    for image, path, picture in zip(images, paths, read_all(partial(read_picture, decode=decode), paths, split)):
        if picture.error:
            report.problem(path, picture.error, get)
            continue
        readable += 1
        listed = f"{image['width']}x{image['height']}"
        if picture.size != listed:
            report.problem(path, f"{picture.size}, but the annotation file says {listed}", get)
    extra = {path.name for path in folder.iterdir()} - {path.name for path in paths}
    if extra:
        report.notes.append(f"{split}: {len(extra)} files that the annotation file does not name, e.g. {min(extra)}")
    return readable
