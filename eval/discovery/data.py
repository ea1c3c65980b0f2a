"""Images with the boxes of their objects: Pascal VOC 2007 and 2012, COCO 20k, or any COCO-format data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from eval.detector.annotations import instances_of, read_annotations, require_images
from eval.discovery.files import (
    BOXES,
    COCO_20K,
    GET_20K,
    PICTURES,
    VOC,
    VOC_LIST,
    find_layout,
    kind_of,
    read_list,
    read_objects,
    train2014_of,
)
from flsl.runtime.errors import UserError
from flsl.runtime.files import digest_of_files
from flsl.runtime.marker import read_marker
from flsl.runtime.names import require_text


@dataclass(frozen=True)
class ImageObjects:
    """One image: `boxes` (n, 4) left, top, right, bottom of its objects in whole pixels, n >= 1, and (width, height) that
    they are for, where the annotations say it reliably."""

    name: str
    path: Path
    boxes: np.ndarray
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class DiscoveryData:
    """A data set.

    Attributes:
        root: its folder.
        name: in protocols, `voc2007`, `voc2012`, `coco20k` or `coco`.
        title: in records; drawn data have their own.
        split: the list of images.
        official: whether it is the whole benchmark.
        images: those that have an object.
        empty: how many others there are.
        files: that say what is evaluated, and where the objects are.
    """

    root: Path
    name: str
    title: str
    split: str
    official: bool
    images: tuple[ImageObjects, ...]
    empty: int
    files: tuple[Path, ...]

    @cached_property
    def annotation_sha256(self) -> str:
        """Hexadecimal digest of lists and annotations."""
        return digest_of_files(self.root, self.files, contents=True)

    @cached_property
    def images_sha256(self) -> str:
        """Hexadecimal digest that tells the images from others."""
        return digest_of_files(self.root, [image.path for image in self.images], contents=False)


def open_discovery(root: Path) -> DiscoveryData:
    """Read the images and boxes of `root`, whichever layout it has.

    Raises:
        UserError: no layout is there, or several, or a file is missing or malformed, or no image has an object.
    """
    layout, place = find_layout(root)
    if layout == "voc":
        data = _open_voc(place)
    else:
        data = (_open_coco_20k if layout == "coco20k" else _open_coco)(root, place)
    if not data.images:
        raise UserError(f"{root}: no image has the box of an object, so that there is nothing to discover.")
    require_text((image.name for image in data.images), root)
    return data


def _open_voc(root: Path) -> DiscoveryData:
    """Read Pascal VOC's trainval list; objects that are difficult or truncated count, as in the published figures."""
    listed = root / VOC_LIST
    names = read_list(listed)
    kind, others = kind_of(names)
    if others:
        raise UserError(
            f"{listed}: the names are neither those of VOC 2007 (six digits) nor of VOC 2012 (2008_000001), e.g. {others[0]}. "
            "Data of your own can be given in COCO's format."
        )
    count, _, get = VOC[kind]
    images, files = [], [root / BOXES / f"{name}.xml" for name in names]
    for name, file in zip(names, files):
        path = root / PICTURES / f"{name}.jpg"
        if not path.is_file():
            raise UserError(f"{path} is missing, which {listed} names. Get {get}, and unpack it again.")
        images.append(ImageObjects(name, path, read_objects(file)))
    return _data(root, kind, "trainval", len(names) == count, images, (listed, *files))


def _open_coco_20k(root: Path, listed: Path) -> DiscoveryData:
    """Read the listed images of COCO's train2014."""
    file = instances_of(root, "train2014")
    wanted = {Path(name).name for name in read_list(listed)}
    images = _coco_images(file, train2014_of(root), wanted)
    if missing := sorted(wanted - {image.path.name for image in images}):
        raise UserError(f"{file} lacks {len(missing)} images that {listed} names, e.g. {missing[0]}. {GET_20K}")
    return _data(root, "coco20k", "train2014", len(images) == COCO_20K, images, (listed, file))


def _open_coco(root: Path, file: Path) -> DiscoveryData:
    """Read COCO's val2017, or a data set in its layout: no official benchmark."""
    return _data(root, "coco", "val2017", False, _coco_images(file, root / "val2017", None), (file,))


def _coco_images(file: Path, folder: Path, wanted: set[str] | None) -> list[ImageObjects]:
    """Return the images of an annotation file; crowds are no objects, and corners are rounded as the public code rounds them."""
    annotations = read_annotations(file, None)
    entries = [entry for entry in annotations.images if wanted is None or Path(entry["file_name"]).name in wanted]
    require_images(file, folder, (entry["file_name"] for entry in entries))
    return [
        ImageObjects(
            entry["file_name"],
            folder / entry["file_name"],
            np.rint(annotations.objects(entry)[0]).astype(int),
            (entry["width"], entry["height"]),
        )
        for entry in entries
    ]


def _data(
    root: Path, name: str, split: str, whole: bool, images: Sequence[ImageObjects], files: tuple[Path, ...]
) -> DiscoveryData:
    """Put together what was read; drawn data are never official, however `whole`."""
    marker = read_marker(root)
    kept = tuple(image for image in images if len(image.boxes))
    title = marker["name"] if marker else name
    return DiscoveryData(root, name, title, split, whole and marker is None, kept, len(images) - len(kept), files)
