"""Check a copy of object discovery's data (`eval.discovery.files`): Pascal VOC's list, images and boxes, or COCO's of 2014."""

from functools import partial
from pathlib import Path

from eval.data.verify.coco import verify_split
from eval.data.verify.files import read_all, read_picture
from eval.data.verify.report import Report, own_marker, start_report
from eval.discovery.files import (
    BOXES,
    COCO_20K,
    GET_20K,
    PICTURES,
    VOC,
    VOC_LIST,
    check_list,
    find_layout,
    kind_of,
    read_objects,
    train2014_of,
)
from flsl.runtime.errors import UserError

TRAIN2014_ANNOTATIONS = 604_907


def verify(root: Path, decode: bool = True) -> Report:
    """Check what is evaluated: the trainval list of Pascal VOC, COCO 20k, or val2017 of any data in COCO's format.

    Raises UserError for a wrong or empty folder (`find_layout`), or another benchmark's drawn data.
    """
    if root.is_dir():
        own_marker(root, "discovery", "coco")
    layout, place = find_layout(root)
    if layout == "voc":
        return _verify_voc(place, decode)
    report, whole = start_report(root, "discovery", own_marker(root, "coco")), False
    if layout == "coco":
        verify_split(report, "val2017", decode, (None, None), masks=False)
    elif names := _read_list(report, place, GET_20K):
        official, wanted = (COCO_20K, TRAIN2014_ANNOTATIONS), {Path(name).name for name in names}
        verify_split(report, "train2014", decode, official, folder=train2014_of(root), masks=False, wanted=wanted)
        whole = report.counts_are_official()
    report.conclude(whole, f"official are the {COCO_20K:,} pictures of COCO 20k. {GET_20K}")
    return report


def _verify_voc(root: Path, decode: bool) -> Report:
    """Check the list, and the picture and the box file of each of its images."""
    report = start_report(root, "discovery", own_marker(root, "discovery"))
    listed = _read_list(report, root / VOC_LIST, "Get the archive VOCtrainval of VOC 2007 or 2012 and unpack it again.")
    kind, others = kind_of(listed)
    official, _, source = VOC[kind]
    get = f"Get {source}, and unpack it again."
    for name in others:
        report.problem(root / VOC_LIST, f"{name} is no name of {kind}, as others are", f"Mix no data sets. {get}")
    names = [name for name in listed if name not in others]
    paths = [root / PICTURES / f"{name}.jpg" for name in names]
    sound = objects = empty = 0
    for name, path, picture in zip(names, paths, read_all(partial(read_picture, decode=decode), paths, "images")):
        if picture.error:
            report.problem(path, picture.error, get)
        file = root / BOXES / f"{name}.xml"
        try:
            boxes = read_objects(file)
        except UserError as error:
            report.problem(file, str(error), get)
            continue
        for left, top, right, bottom in boxes.tolist():
            text = f"the box {left + 1}, {top + 1}, {right}, {bottom}"
            if left >= right or top >= bottom:
                report.problem(file, f"{text} ends before it begins", get)
            elif not picture.error and (left >= picture.width or top >= picture.height or right <= 0 or bottom <= 0):
                report.problem(file, f"{text} lies outside its image of {picture.size}", get)
        sound += not picture.error
        objects += len(boxes)
        empty += not len(boxes)
    report.count(f"images of {kind} trainval", sound, official)
    report.count("objects", objects)
    report.count("images without an object", empty)
    if names and empty == len(names):
        report.problem(BOXES, "no image has the box of an object, so that there is nothing to discover", get)
    report.conclude(report.counts_are_official(), f"official are {official:,} images in trainval. {get}")
    return report


def _read_list(report: Report, path: Path, get: str) -> list[str]:
    """Return the sound names of a list, reporting what is wrong with others."""
    try:
        names, faults = check_list(path)
    except UserError as error:
        names, faults = [], [str(error)]
    for fault in faults:
        report.problem(path, fault, get)
    return names
