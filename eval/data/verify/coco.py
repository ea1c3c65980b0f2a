"""Check a copy of COCO 2017, or a data set in its layout: JSON references, pictures, sizes, boxes and masks."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from eval.data.verify.files import read_all, read_picture
from eval.data.verify.report import Report, open_report
from eval.detector.annotation_checks import find_faults
from eval.detector.annotations import instances_of, read_json, require_same_categories
from flsl.runtime.errors import UserError
from flsl.runtime.files import inside

OFFICIAL = {"train2017": (118_287, 860_001), "val2017": (5_000, 36_781)}  # images, annotations
CATEGORIES = 80


def get_annotations(year: str) -> str:
    """Say how to get the annotation files of a year."""
    return f"Get annotations_trainval{year}.zip ({year} Train/Val annotations) from cocodataset.org, Download, and unpack it again."


GET_JSON = get_annotations("2017")


def verify(root: Path, decode: bool = True) -> Report:
    """Check `annotations/instances_{train,val}2017.json` and their pictures.

    Raises UserError for a wrong or empty folder (`open_report`).
    """
    report = open_report(root, "coco", {"annotations": GET_JSON})
    if not (root / "annotations").is_dir():
        return report
    files = {split: instances_of(root, split) for split in OFFICIAL}
    found = [split for split, file in files.items() if report.has_file(file, GET_JSON, evaluated=True)]
    categories = [known for split in found if (known := verify_split(report, split, decode, OFFICIAL[split]))]
    if len(categories) == len(OFFICIAL):
        try:
            require_same_categories(categories[0], categories[1], files["val2017"])
        except UserError as error:
            report.problem(files["val2017"], str(error), f"Take both files from one release. {GET_JSON}")
    if not found and not report.problems:
        report.problem(
            "annotations",
            f"neither instances_train2017.json nor instances_val2017.json (found: {inside(root / 'annotations')})",
            GET_JSON,
        )
    whole = len(found) == len(OFFICIAL) and report.counts_are_official()
    report.conclude(whole, "official are 118,287 pictures in train2017 and 5,000 in val2017, from cocodataset.org")
    return report


def verify_split(
    report: Report,
    split: str,
    decode: bool,
    official: tuple[int | None, int | None],
    *,
    folder: Path | None = None,
    masks: bool = True,
    wanted: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Check one annotation file and the folder of its pictures; returns its categories, none where entries are wrong.

    Args:
        report: is added to.
        split: such as `val2017`.
        decode: read all of a picture.
        official: how many pictures and annotations the real benchmark has.
        folder: of the pictures, where it is not named as the split is.
        masks: every annotation must have a segmentation.
        wanted: names of the only pictures that are evaluated: each must be in the annotation file, and others are not read.
    """
    path = instances_of(report.root, split)
    get = get_annotations(split[-4:])
    try:
        content = read_json(path)
    except UserError as error:
        report.problem(path, str(error), get)
        return []
    faults = list(find_faults(content, masks))
    for fault in faults:
        if fault.kind != "odd":
            report.problem(path, str(fault), f"Correct the annotation file. {get}")
    if any(fault.kind == "unusable" for fault in faults):
        return []
    images, annotations, categories = (content[key] for key in ("images", "annotations", "categories"))
    if all(annotation.get("iscrowd") for annotation in annotations):
        text = "no annotation of an object (crowds do not count): there is nothing to learn or to score with"
        report.problem(path, text, f"Get a file with annotations. {get}")
    odd = [str(fault) for fault in faults if fault.kind == "odd"]
    # The official files have a few boxes without area: no fault of this copy, and training leaves them out.
    if odd and report.marker is None and len(annotations) == official[1]:
        report.notes.append(f"{path.name} has {len(odd)} odd annotations, as published, e.g. {odd[0]}")
    else:
        for text in odd:
            report.problem(path, text, f"Remove the entry or correct it. {get}")
    wrong = {fault.where for fault in faults if fault.kind == "wrong"}
    sound = [image for index, image in enumerate(images) if f"images[{index}]" not in wrong]
    if wanted is not None:
        sound = [image for image in sound if Path(image["file_name"]).name in wanted]
        for name in sorted(set(wanted) - {Path(image["file_name"]).name for image in sound}):
            report.problem(path, f"lacks {name}, which the list of images names", f"Take both from one release. {get}")
    folder = folder or report.root / split
    readable = _verify_pictures(report, folder, sound, decode)
    report.count(f"pictures of {split}", readable, official[0])
    report.count(f"annotations of {split}", len(annotations), official[1])
    report.count(f"categories of {split}", len(categories), CATEGORIES)
    report.count(f"crowds of {split}", sum(bool(annotation.get("iscrowd")) for annotation in annotations))
    empty = len(images) - len({str(annotation["image_id"]) for annotation in annotations})
    report.count(f"pictures of {split} without annotation", empty)
    if wanted is None and folder.is_dir():
        extra = {file.name for file in folder.iterdir()} - {Path(image["file_name"]).name for image in sound}
        if extra:
            report.notes.append(
                f"{split}: {len(extra)} files that the annotation file does not name, e.g. {min(extra)}"
            )
    return categories if not wrong else []


def _verify_pictures(report: Report, folder: Path, images: list[dict[str, Any]], decode: bool) -> int:
    """Check the pictures of a split against its annotation file; returns how many readable ones there are."""
    split = folder.name
    kind, year = split[:-4].capitalize(), split[-4:]
    get = f"Get {split}.zip ({year} {kind} images) from cocodataset.org, Download, and unpack it again."
    if not folder.is_dir():
        report.problem(folder, f"the folder of the {len(images):,} pictures is missing", get)
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
    return readable
