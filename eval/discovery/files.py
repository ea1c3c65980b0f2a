"""Where the files of object discovery's data are (Pascal VOC, COCO 20k, COCO), and the readers of lists and boxes."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval.box_files import read_box_file
from eval.detector.annotations import instances_of
from flsl.runtime.errors import UserError
from flsl.runtime.files import LARGEST_LIST, inside, read_file
from flsl.runtime.names import safe_name

VOC = {  # data -> images of the official trainval list, what their names look like, and where to get them
    "voc2007": (5_011, r"\d{6}", "VOCtrainval_06-Nov-2007.tar from host.robots.ox.ac.uk/pascal/VOC/voc2007"),
    "voc2012": (11_540, r"\d{4}_\d{6}", "VOCtrainval_11-May-2012.tar from host.robots.ox.ac.uk/pascal/VOC/voc2012"),
}
VOC_LIST, BOXES, PICTURES = "ImageSets/Main/trainval.txt", "Annotations", "JPEGImages"
COCO_20K, COCO_20K_LIST = 19_817, "coco_20k_filenames.txt"
GET_20K = "It is in the folder datasets of TokenCut's public code, and its annotations are those of COCO's train2014."


def find_layout(root: Path) -> tuple[str, Path]:
    """Return the layout of `root` and what it is told by: `voc` and its folder, `coco20k` and its list, `coco` and its JSON file.

    Raises:
        UserError: no layout is there, or several.
    """
    if not root.is_dir():
        raise UserError(
            f"{root} is not a folder. --data must name images with boxes: see `python -m eval discovery --help`."
        )
    places = [root, *(root / middle / year for middle in ("", "VOCdevkit") for year in ("VOC2007", "VOC2012"))]
    voc = [place for place in places if (place / BOXES).is_dir() and (place / PICTURES).is_dir()]
    lists = [path for path in (root / COCO_20K_LIST, root / "annotations" / COCO_20K_LIST) if path.is_file()]
    coco, train2014 = (instances_of(root, split) for split in ("val2017", "train2014"))
    found = [*voc, *(lists[:1] or ([coco] if coco.is_file() else []))]
    if len(found) > 1:
        raise UserError(
            f"{root} holds several data sets ({', '.join(map(str, found))}). Name the folder of one of them (--data)."
        )
    if not found:
        only = "; instances_train2014.json is COCO 20k only with its list" if train2014.is_file() else ""
        raise UserError(
            f"{root} holds neither Annotations/ and JPEGImages/ (Pascal VOC) nor {COCO_20K_LIST} (COCO 20k) nor "
            f"annotations/instances_val2017.json (any COCO data); found there: {inside(root)}{only}."
        )
    return "voc" if voc else "coco20k" if lists else "coco", found[0]


def train2014_of(root: Path) -> Path:
    """Return the folder of train2014's images, which stands at either of two places."""
    nested = root / "images/train2014"
    return nested if nested.is_dir() and not (root / "train2014").is_dir() else root / "train2014"


def kind_of(names: Sequence[str]) -> tuple[str, list[str]]:
    """Return which of VOC most names are of, and those that are not."""
    unlike = {kind: [name for name in names if not re.fullmatch(form, name)] for kind, (_, form, _) in VOC.items()}
    kind = min(unlike, key=lambda kind: len(unlike[kind]))
    return kind, unlike[kind]


def read_objects(file: Path) -> np.ndarray:
    """Return the boxes (n, 4) of all objects of a box file of VOC, whole pixels from 0; UserError as of `read_box_file`."""
    # Pixels count from 1 there, the last one included; a few of 2012's corners have decimals.
    return np.trunc(read_box_file(file)[0]).astype(int) - (1, 1, 0, 0)


def read_list(path: Path) -> list[str]:
    """Return the names of a list, each once. Raises UserError where it is not there, empty, or a name cannot be one."""
    names, faults = check_list(path)
    if faults:
        raise UserError(faults[0])
    return names


def check_list(path: Path) -> tuple[list[str], list[str]]:
    """Return the sound names of a list, each once, and what is wrong with others. UserError: it is not there, or empty."""
    try:
        listed = Counter(read_file(path, LARGEST_LIST).decode("utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise UserError(f"{path} cannot be read ({error}). Expected is the list of images, one name a line.") from error
    if not listed:
        raise UserError(f"{path} names no image. Unpack the official archive again.")
    names = []
    faults = [f"{path} names {name} twice. Unpack the official archive again." for name in listed if listed[name] > 1]
    for name in listed:
        try:
            names.append(safe_name(name, "an image", path, folders=True))
        except UserError as error:
            faults.append(str(error))
    return names, faults
