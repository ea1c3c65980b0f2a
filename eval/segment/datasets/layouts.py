"""The layouts: where each data set keeps images and masks, and what the numbers in its masks mean."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.segment.datasets.data import SegmentationData, Split, pair, read_classes, table_of, unknown_split
from flsl.confusion import VOID
from flsl.runtime.errors import UserError
from flsl.runtime.files import list_files
from flsl.runtime.names import safe_name

Marker = dict[str, Any] | None
IMAGES, MASKS = (".jpg", ".jpeg", ".png", ".webp", ".bmp"), (".png",)
CLASSES = Path(__file__).parent / "classes"
LISTS = "ImageSets/Segmentation"
# What a layout is known by; a folder of several names has any of them.
FOLDERS = {
    "voc2012": ("JPEGImages", "SegmentationClass|SegmentationClassAug", LISTS),
    "ade20k": ("images/training|images/validation", "annotations/training|annotations/validation"),
    "coco-things": ("annotations/instances_*.json",),
    "coco-stuff": ("stuffthingmaps|annotations/train2017|annotations/val2017",),
    "cityscapes": ("leftImg8bit", "gtFine"),
    "camvid": ("train|val", "trainannot|valannot"),
    "folder": ("images", "masks", "classes.txt"),
}
# Values of COCO-Stuff's pixel maps (category id - 1) that COCO never used.
_UNUSED_STUFF = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
# Cityscapes' label ids that are evaluated, in the order of the train ids; all others are void.
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def fits(layout: str, root: Path) -> bool:
    """Tell whether what a layout is known by is there."""
    return all(any(any(root.glob(name)) for name in names.split("|")) for names in FOLDERS[layout])


def open_voc(root: Path, marker: Marker) -> SegmentationData:
    """PASCAL VOC 2012: 21 classes with the background, void 255. Trained on `trainaug` where its list is there."""
    train = "trainaug" if (root / LISTS / "trainaug.txt").is_file() else "train"
    official = {"trainaug": 10_582, "val": 1449}  # published figures are learned from trainaug
    return _data(root, "voc2012", train, "val", _open_voc_split, official, marker)


def _open_voc_split(root: Path, split: str) -> Split:
    listed = root / LISTS / f"{split}.txt"
    if not listed.is_file():
        raise unknown_split(split, sorted(path.stem for path in listed.parent.glob("*.txt")), root)
    names = list(dict.fromkeys(listed.read_text(encoding="utf-8-sig", errors="replace").split()))
    if not names:
        raise UserError(f"{listed} lists no image: the split {split} is empty. Expected is one name per line.")
    images = {safe_name(name, "an image", listed): root / "JPEGImages" / f"{name}.jpg" for name in names}
    if missing := [path for path in images.values() if not path.is_file()]:
        raise UserError(
            f"{listed} lists {len(missing)} images that are missing, e.g. {missing[0]}. Unpack VOC 2012 again."
        )
    augmented = root / "SegmentationClassAug"
    folder = augmented if split == "trainaug" and augmented.is_dir() else root / "SegmentationClass"
    table = table_of({number: number for number in range(21)})
    masks = {
        name: path for name, path in _named(folder, MASKS).items() if name in images
    }  # those of all lists lie there
    return pair(root, split, images, masks, table, folder / "NAME.png")


def open_ade(root: Path, marker: Marker) -> SegmentationData:
    """ADE20K (SceneParsing): 150 classes; 0, everything else, is left out."""
    official = {"training": 20_210, "validation": 2000}
    return _data(root, "ade20k", "training", "validation", _open_ade_split, official, marker)


def _open_ade_split(root: Path, split: str) -> Split:
    table = table_of({0: VOID} | {number: number - 1 for number in range(1, 151)})
    return _open_folders(root, split, root / "images" / split, root / "annotations" / split, table)


def open_things(root: Path, marker: Marker) -> SegmentationData:
    """COCO-Things: the categories of an instances file after the background; crowds are void."""
    from eval.segment.datasets import things  # what reads the file needs OpenCV and COCO's tools

    splits = sorted(path.stem.removeprefix("instances_") for path in (root / "annotations").glob("instances_*.json"))
    train, val = (next((s for s in splits if s.startswith(kind)), splits[0]) for kind in ("train", "val"))
    return SegmentationData(
        root=root,
        name="coco-things",
        classes=things.read_classes(root, val),
        train=train,
        val=val,
        open_split=partial(things.open_split, root, splits, val),
        official={"train2017": 118_287, "val2017": 5000},
        marker=marker,
    )


def open_stuff(root: Path, marker: Marker) -> SegmentationData:
    """COCO-Stuff 164k: 171 classes of things and stuff (not the 15 or 27 merged ones); 255 is void."""
    official = {"train2017": 118_287, "val2017": 5000}
    return _data(root, "coco-stuff", "train2017", "val2017", _open_stuff_split, official, marker)


def _open_stuff_split(root: Path, split: str) -> Split:
    used = [number for number in range(182) if number not in _UNUSED_STUFF]
    places = (root / split, root / "images" / split), (root / "stuffthingmaps" / split, root / "annotations" / split)
    images, masks = (next((place for place in some if place.is_dir()), some[0]) for some in places)
    table = table_of({number: label for label, number in enumerate(used)})
    return _open_folders(root, split, images, masks, table)


def open_cityscapes(root: Path, marker: Marker) -> SegmentationData:
    """Cityscapes, fine annotations: 19 classes (train ids), the other labels are void."""
    official = {"train": 2975, "val": 500}
    return _data(root, "cityscapes", "train", "val", _open_cityscapes_split, official, marker)


def _open_cityscapes_split(root: Path, split: str) -> Split:
    kind, numbers = "labelTrainIds", {number: number for number in range(19)}
    masks = _named(root / "gtFine" / split, MASKS, f"_gtFine_{kind}")
    if not masks:  # the official archive has these alone
        kind = "labelIds"
        numbers = dict.fromkeys(range(34), VOID) | {n: label for label, n in enumerate(_CITYSCAPES_IDS)}
        masks = _named(root / "gtFine" / split, MASKS, f"_gtFine_{kind}")
    images = _named(_present(root, split, root / "leftImg8bit" / split), IMAGES, "_leftImg8bit")
    expected = root / "gtFine" / split / "CITY" / f"NAME_gtFine_{kind}.png"
    return pair(root, split, images, masks, table_of(numbers), expected)


def open_camvid(root: Path, marker: Marker) -> SegmentationData:
    """CamVid as SegNet has it: 11 classes, 11 is void."""
    return _data(root, "camvid", "train", "val", _open_camvid_split, {"train": 367, "val": 101, "test": 233}, marker)


def _open_camvid_split(root: Path, split: str) -> Split:
    table = table_of({number: number for number in range(11)} | {11: VOID})
    return _open_folders(root, split, root / split, root / f"{split}annot", table)


def open_folder(root: Path, marker: Marker) -> SegmentationData:
    """Any images with masks of class numbers, and a class list; 255 is void."""
    classes = read_classes(root / "classes.txt")
    opened = partial(_open_folder_split, root, len(classes))
    return SegmentationData(root, "folder", classes, "train", "val", opened, {}, marker)


def _open_folder_split(root: Path, classes: int, split: str) -> Split:
    table = table_of({number: number for number in range(classes)})
    return _open_folders(root, split, root / "images" / split, root / "masks" / split, table)


def _data(root: Path, name: str, train: str, val: str, opened, official, marker: Marker) -> SegmentationData:
    """Return a data set whose classes are known beforehand."""
    classes = read_classes(CLASSES / f"{name}.txt")
    return SegmentationData(root, name, classes, train, val, partial(opened, root), official, marker)


def _open_folders(root: Path, split: str, images: Path, masks: Path, table: np.ndarray) -> Split:
    """Return a split whose images and masks lie in two folders, under the same names."""
    found = _named(_present(root, split, images), IMAGES)
    return pair(root, split, found, _named(masks, MASKS), table, masks / "NAME.png")


def _present(root: Path, split: str, folder: Path) -> Path:
    """Return the folder of a split's images. Raises UserError where it is missing, naming the splits that are there."""
    if not folder.is_dir() or Path(split).name != split:
        beside = (
            sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) if folder.parent.is_dir() else []
        )
        raise unknown_split(split, beside, root)
    return folder


def _named(folder: Path, suffixes: tuple[str, ...], ending: str = "") -> dict[str, Path]:
    """Return the pictures below a folder by their names: path in it without suffix and `ending`, which others lack.

    Raises UserError for two of one name.
    """
    found: dict[str, Path] = {}
    for path in list_files(folder, suffixes):
        if not path.stem.endswith(ending):
            continue
        name = path.relative_to(folder).with_name(path.stem.removesuffix(ending)).as_posix()
        if name in found:
            raise UserError(f"{found[name]} and {path} have one name: whose mask is {name}.png? Rename one of them.")
        found[name] = path
    return found
