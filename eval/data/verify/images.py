"""Check an ImageFolder (`train/CLASS/*`, optionally `val/CLASS/*`): ImageNet-1k or any pictures in class folders."""

import re
from functools import partial
from pathlib import Path

from eval.data.verify.files import read_all, read_picture
from eval.data.verify.report import Report, open_report
from flsl.runtime.files import IMAGES, list_files

OFFICIAL = {"train": (1000, 1_281_167), "val": (1000, 50_000)}  # classes, pictures
GET = (
    "Get ILSVRC2012_img_train.tar from image-net.org (Download, ILSVRC2012) and unpack each class's archive into "
    "train/<class>/."
)
_WORDNET_ID = re.compile(r"n\d{8}")


def verify(root: Path, decode: bool = True) -> Report:
    """Check class folders and every picture. Raises UserError for a wrong or empty folder (`open_report`)."""
    report = open_report(root, "images", {"train": GET})
    if not (root / "train").is_dir():
        return report
    counts = {}
    for split in ("train", "val"):
        if (root / split).is_dir():
            counts[split] = _verify_split(report, root / split, decode)
    classes = sorted(path.name for path in (root / "train").iterdir() if path.is_dir())
    is_imagenet = bool(classes) and all(_WORDNET_ID.fullmatch(name) for name in classes)
    report.conclude(is_imagenet and counts["train"] == OFFICIAL["train"], f"not the whole of ImageNet-1k. {GET}")
    if "val" in counts and counts["val"] != OFFICIAL["val"] and is_imagenet:
        report.notes.append("val/ is not ImageNet's whole validation set; pretraining does not need it")
    return report


def _verify_split(report: Report, folder: Path, decode: bool) -> tuple[int, int]:
    """Check one split's folder; returns its numbers of classes and pictures."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    loose = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES]
    if loose:
        report.problem(
            folder,
            f"{len(loose):,} pictures lie beside the class folders, e.g. {loose[0].name}",
            "Move every picture into the folder of its class; the folder's name is the class.",
        )
    pictures = []
    for folder_of_class in classes:
        found = list_files(folder_of_class, IMAGES)
        if not found:
            report.problem(folder_of_class, "no picture in this class folder", f"Delete it or fill it. {GET}")
        pictures += found
    if not classes:
        report.problem(folder, "no class folder in it", GET)
    for path, picture in zip(pictures, read_all(partial(read_picture, decode=decode), pictures, folder.name)):
        if picture.error:
            report.problem(path, picture.error, f"Replace or delete the file. {GET}")
    official = OFFICIAL[folder.name]
    report.count(f"classes in {folder.name}", len(classes), official[0])
    report.count(f"pictures in {folder.name}", len(pictures), official[1])
    return len(classes), len(pictures)
