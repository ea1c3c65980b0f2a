"""Images with the boxes of their objects: Pascal VOC 2007 and 2012, COCO 20k, or any COCO-format data set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from eval.box_files import read_box_file
from eval.detector.annotations import read_annotations, require_images
from flsl.runtime.errors import UserError
from flsl.runtime.files import digest_of_files
from flsl.runtime.marker import read_marker
from flsl.runtime.names import require_text, safe_name

VOC = {  # data -> images of the official trainval list, what their names look like, and where to get them
    "voc2007": (5_011, r"\d{6}", "VOCtrainval_06-Nov-2007.tar from host.robots.ox.ac.uk/pascal/VOC/voc2007"),
    "voc2012": (11_540, r"\d{4}_\d{6}", "VOCtrainval_11-May-2012.tar from host.robots.ox.ac.uk/pascal/VOC/voc2012"),
}
VOC_LIST = "ImageSets/Main/trainval.txt"
COCO_20K, COCO_20K_LIST = 19_817, "coco_20k_filenames.txt"
GET_20K = "It is in the folder datasets of TokenCut's public code, and its annotations are those of COCO's train2014."


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
    if not root.is_dir():
        raise UserError(
            f"{root} is not a folder. --data must name images with boxes: see `python -m eval discovery --help`."
        )
    places = [root, *(root / middle / year for middle in ("", "VOCdevkit") for year in ("VOC2007", "VOC2012"))]
    voc = [place for place in places if (place / "Annotations").is_dir() and (place / "JPEGImages").is_dir()]
    lists = [path for path in (root / COCO_20K_LIST, root / "annotations" / COCO_20K_LIST) if path.is_file()]
    coco, train2014 = (root / "annotations" / name for name in ("instances_val2017.json", "instances_train2014.json"))
    found = [*voc, *lists[:1], *([coco] if coco.is_file() and not lists else [])]
    if len(found) > 1:
        raise UserError(
            f"{root} holds several data sets ({', '.join(map(str, found))}). Name the folder of one of them (--data)."
        )
    if not found:
        inside = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
        only = "; instances_train2014.json is COCO 20k only with its list" if train2014.is_file() else ""
        raise UserError(
            f"{root} holds neither Annotations/ and JPEGImages/ (Pascal VOC) nor {COCO_20K_LIST} (COCO 20k) nor "
            f"annotations/instances_val2017.json (any COCO data); found there: {inside}{only}."
        )
    data = _open_voc(voc[0]) if voc else _open_coco_20k(root, lists[0]) if lists else _open_coco(root, coco)
    if not data.images:
        raise UserError(f"{root}: no image has the box of an object, so that there is nothing to discover.")
    require_text((image.name for image in data.images), root)
    return data


def _open_voc(root: Path) -> DiscoveryData:
    """Read Pascal VOC's trainval list; objects that are difficult or truncated count, as in the published figures."""
    listed = root / VOC_LIST
    names = _read_list(listed)
    kind = next((kind for kind, (_, form, _) in VOC.items() if all(re.fullmatch(form, name) for name in names)), None)
    if kind is None:
        raise UserError(
            f"{listed}: the names are neither those of VOC 2007 (six digits) nor of VOC 2012 (2008_000001), e.g. {names[0]}. "
            "Data of your own can be given in COCO's format."
        )
    count, _, get = VOC[kind]
    images, files = [], [root / "Annotations" / f"{name}.xml" for name in names]
    for name, file in zip(names, files):
        path = root / "JPEGImages" / f"{name}.jpg"
        if not path.is_file():
            raise UserError(f"{path} is missing, which {listed} names. Get {get}, and unpack it again.")
        # Pixels count from 1 there, the last one included; a few of 2012's corners have decimals.
        boxes = np.trunc(read_box_file(file)[0]).astype(int) - (1, 1, 0, 0)
        images.append(ImageObjects(name, path, boxes))
    return _data(root, kind, "trainval", len(names) == count, images, (listed, *files))


def _open_coco_20k(root: Path, listed: Path) -> DiscoveryData:
    """Read the listed images of COCO's train2014."""
    file = root / "annotations/instances_train2014.json"
    folder = next(
        (place for place in (root / "train2014", root / "images/train2014") if place.is_dir()), root / "train2014"
    )
    wanted = {Path(name).name for name in _read_list(listed)}
    images = _coco_images(file, folder, wanted)
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


def _read_list(path: Path) -> list[str]:
    """Return the names of a list, each once. Raises UserError where it is not there, empty, or a name cannot be one."""
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}). Expected is the list of images, one name a line.") from error
    if not names:
        raise UserError(f"{path} names no image. Unpack the official archive again.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path} names {twice} twice. Unpack the official archive again.")
    return [safe_name(name, "an image", path, folders=True) for name in names]
