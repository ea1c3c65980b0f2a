"""Images with boxes and classes: ImageNet's official box files, a COCO-format data set, or class folders without boxes."""

import hashlib
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.box_files import read_box_file
from eval.class_folders import read_class_folders
from eval.detector.annotations import instances_of, read_annotations
from eval.knn.protocol import BBOX, IMAGE, Protocol
from flsl.runtime.errors import UserError
from flsl.runtime.files import digest_of_files, inside, list_files, sha256_of_file
from flsl.runtime.marker import read_marker
from flsl.runtime.names import require_text

XML = "Annotations/CLS-LOC"
# Training and validation images of the official data; ImageNet has box files for less than half of the former.
OFFICIAL = {
    (BBOX, "imagenet"): (544_546, 50_000),
    (BBOX, "coco"): (118_287, 5_000),
    (IMAGE, "imagenet"): (1_281_167, 50_000),
}
# The box of a picture without one: cut to the crop it is all of it.
WHOLE = np.array([(-np.inf, -np.inf, np.inf, np.inf)])


@dataclass(frozen=True)
class Example:
    """One image: `boxes` (n, 4) left, top, right, bottom in its pixels, the class name of each, and (width, height) that the
    boxes are for, where the annotations say it reliably."""

    path: Path
    boxes: np.ndarray
    classes: tuple[str, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class BoxData:
    """Both splits of a data set, what is asked of it, its name in records, and whether it is the whole official one."""

    protocol: Protocol
    name: str
    official: bool
    train: list[Example]
    val: list[Example]
    annotation_sha256: str  # of val
    train_sha256: str  # of the boxes and classes that are learned from


def read_box_data(root: Path) -> BoxData:
    """Read the boxes and classes of `root`, whichever layout it has.

    Raises:
        UserError: no layout is there, or a file is missing or malformed.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder. --data must name images with boxes: see `python -m eval knn --help`.")
    protocol = BBOX
    if (root / XML).is_dir():
        train, val = (_read_xml_split(root, split) for split in ("train", "val"))
        kind, digests = "imagenet", [_hash_xml(root / XML / split) for split in ("val", "train")]
    elif (root / "annotations").is_dir():
        train, val = (_read_coco_split(root, split) for split in ("train2017", "val2017"))
        files = [instances_of(root, split) for split in ("val2017", "train2017")]
        kind, digests = "coco", [sha256_of_file(file) for file in files]
    elif all((root / split).is_dir() for split in ("train", "val")):
        train, val = (_read_class_folders(root / split) for split in ("train", "val"))
        found = [[example.path for example in examples] for examples in (val, train)]
        digests = [digest_of_files(root, paths, contents=False) for paths in found]
        kind = "imagenet" if len({example.classes for example in train}) == 1000 else "class-folders"
        protocol = IMAGE
    else:
        raise UserError(
            f"{root} holds neither {XML}/ (ImageNet's box files, ILSVRC2012_bbox_train_v2.tar.gz and "
            "ILSVRC2012_bbox_val_v3.tgz from image-net.org) nor annotations/instances_train2017.json (COCO), nor both train/ and "
            f"val/ with a folder for each class; found there: {inside(root)}."
        )
    require_text((str(example.path.relative_to(root)) for example in val), root)
    marker = read_marker(root)
    official = marker is None and (len(train), len(val)) == OFFICIAL.get((protocol, kind))
    name = marker["name"] if marker else kind if official or kind == "class-folders" else f"{kind}-subset"
    return BoxData(protocol, name, official, train, val, *digests)


def _read_coco_split(root: Path, split: str) -> list[Example]:
    """Return the images of a COCO annotation file; crowds are not boxes of one object."""
    path = instances_of(root, split)
    annotations = read_annotations(path, root / split)
    names = {category["id"]: category["name"] for category in annotations.categories}
    examples = []
    for image in annotations.images:
        boxes, listed = annotations.objects(image)
        classes = tuple(names[a["category_id"]] for a in listed)
        size = (image["width"], image["height"])
        examples.append(Example(root / split / image["file_name"], boxes, classes, size))
    return examples


def _read_class_folders(folder: Path) -> list[Example]:
    """Return the images of a split whose classes are folders; the whole picture is the box."""
    found = read_class_folders(folder, f", or box files below {folder.parent / XML}")
    if not found:
        raise UserError(f"{folder} holds no image. Expected {folder}/CLASS/*.jpg, a folder for each class.")
    return [Example(path, WHOLE, (name,)) for name, path in found]


def _read_xml_split(root: Path, split: str) -> list[Example]:
    """Return the images that have an official box file."""
    files = list_files(root / XML / split, [".xml"])
    if not files:
        raise UserError(
            f"{root / XML / split} holds no box file (*.xml). Unpack "
            f"{'ILSVRC2012_bbox_train_v2.tar.gz' if split == 'train' else 'ILSVRC2012_bbox_val_v3.tgz'} from image-net.org."
        )
    places = [root / split, root / "Data" / "CLS-LOC" / split]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise UserError(f"the images are missing: expected {places[0]} or {places[1]}.")
    images = _by_name(list_files(folder, (".jpeg", ".jpg", ".png")), wanted=_by_name(files))
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda file: _read_xml(file, images, folder), files))


def _by_name(files: list[Path], wanted: Collection[str] | None = None) -> dict[str, Path]:
    """Return files by their names without folder and suffix. Raises UserError for two of one that is wanted (None: all)."""
    found: dict[str, Path] = {}
    for path in files:
        first = found.setdefault(path.stem, path)
        if first != path and (wanted is None or path.stem in wanted):
            raise UserError(
                f"{first} and {path} have one name, by which boxes and images find each other. Rename one of them, and what "
                "belongs to it."
            )
    return found


def _read_xml(file: Path, images: dict[str, Path], folder: Path) -> Example:
    """Return the image of one box file."""
    boxes, classes = read_box_file(file)
    if file.stem not in images:
        raise UserError(f"{file} has boxes for {file.stem}, but {folder} holds no such image. Unpack the images again.")
    return Example(images[file.stem], boxes, classes)


def _hash_xml(folder: Path) -> str:
    """Return one hash over all box files of a split."""
    digest = hashlib.sha256()
    for path in list_files(folder, [".xml"]):
        digest.update(os.fsencode(path.name) + b"\0" + path.read_bytes())
    return digest.hexdigest()
