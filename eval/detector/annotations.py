"""Read a COCO-format instances file, and refuse with a clear message what a detector cannot be trained or scored on."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.detector.annotation_checks import find_faults, some
from eval.json_text import parse_json
from flsl.runtime.errors import UserError
from flsl.runtime.text import shorten


@dataclass(frozen=True)
class Annotations:
    """A checked annotation file. Category ids may have gaps; a detector's label i means `categories[i]`."""

    path: Path
    categories: list[dict[str, Any]]  # ascending ids
    images: list[dict[str, Any]]  # ascending ids
    of_image: dict[int, list[dict[str, Any]]]  # image id -> its annotations
    warnings: list[str]

    @classmethod
    def of(cls, path: Path, content: dict[str, Any], warnings: list[str]) -> "Annotations":
        """Put the content of a file, which is as it should be, in order."""
        of_image = defaultdict(list)
        for annotation in content["annotations"]:
            of_image[annotation["image_id"]].append(annotation)
        categories, images = (sorted(content[key], key=lambda entry: entry["id"]) for key in ("categories", "images"))
        return cls(path, categories, images, dict(of_image), warnings)

    @property
    def category_ids(self) -> list[int]:
        """COCO category id of each label."""
        return [category["id"] for category in self.categories]

    @property
    def category_names(self) -> list[str]:
        """Name of each label."""
        return [category["name"] for category in self.categories]

    def document(self) -> dict[str, Any]:
        """Return the content as COCO's tools want it; the annotations are copies, since those tools write into them.

        They are numbered from 1: the tools take an annotation with the id 0 for one that was not found.
        """
        listed = (annotation for image in self.images for annotation in self.of_image.get(image["id"], ()))
        annotations = [{"iscrowd": 0} | entry | {"id": number} for number, entry in enumerate(listed, start=1)]
        return {"images": self.images, "categories": self.categories, "annotations": annotations}

    def objects(self, image: dict[str, Any]) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Return the annotations of one of `images` that are no crowds, after their boxes (n, 4) left, top, right, bottom."""
        listed = [entry for entry in self.of_image.get(image["id"], ()) if not entry.get("iscrowd")]
        boxes = np.array([entry["bbox"] for entry in listed], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes, listed

    def count(self) -> int:
        """Number of annotations, crowds and boxes without area included."""
        return sum(map(len, self.of_image.values()))


def read_annotations(
    path: str | Path, images: str | Path | None, masks: bool = False, scored: bool = False
) -> Annotations:
    """Read and check a COCO instances JSON.

    Args:
        path: the JSON file.
        images: folder that the `file_name`s are in; each must exist. None does not look.
        masks: every annotation must have a segmentation.
        scored: detections will be scored with it, so it must have an object to find.

    Raises:
        UserError: no such file or folder, not JSON, image files that are missing, or the first of `find_faults`. Boxes
            without area and the like are not an error (the official files have some): they are counted in `warnings`, and
            training leaves them out.
    """
    path = Path(path)
    content = read_json(path)
    for fault in find_faults(content, masks):
        if fault.kind != "odd":
            raise UserError(f"{path}: {fault}. Correct the file, or get it again.")
    flat = sum(min(annotation["bbox"][2:]) <= 0 for annotation in content["annotations"])
    if scored and all(annotation.get("iscrowd", 0) for annotation in content["annotations"]):
        raise UserError(
            f"{path} has no annotation of an object (crowds do not count): there is nothing to score detections with. "
            "Name a file with annotations; data.* of the recipe names the files."
        )
    if images is not None:
        require_images(path, Path(images), (image["file_name"] for image in content["images"]))
    warnings = [f"{path.name}: {flat} boxes without area take no part in training"] if flat else []
    return Annotations.of(path, content, warnings)


def require_same_categories(trained: list[dict[str, Any]], given: list[dict[str, Any]], where: Path) -> None:
    """Check that a detector's categories are those of the annotations that it is to be evaluated on.

    Args:
        trained: `id` and `name` of each category of the training annotations.
        given: likewise, of the annotation file `where`.
        where: named in the message.

    Raises:
        UserError: an id or a name differs.
    """
    pairs = [{(category["id"], category["name"]) for category in categories} for categories in (trained, given)]
    if pairs[0] != pairs[1]:
        raise UserError(
            f"{where} and the annotations that the detector is trained on differ in their categories, "
            f"e.g. {sorted(pairs[0] ^ pairs[1])[:3]}. Train and evaluate on the same categories."
        )


def instances_of(root: Path, split: str) -> Path:
    """Return the place of COCO's annotation file of a split."""
    return root / "annotations" / f"instances_{split}.json"


def read_json(path: Path) -> Any:
    """Return the content of a file of annotations or results. Raises UserError if it is not there or no JSON."""
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
        hint = f" {path.parent} holds: {shorten(near, 5)}." if near else ""
        raise UserError(
            f"annotation file {path} does not exist.{hint} Expected is DIR/annotations/*.json beside the image folders; "
            "data.* of the recipe names the files."
        )
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}. Download or write it again.") from error


def require_images(path: Path, images: Path, names: Iterable[str]) -> None:
    """Raise UserError unless the folder `images` holds every file that is named in the annotation file `path`."""
    if not images.is_dir():
        raise UserError(f"image folder {images} does not exist; {path.name} names images in it.")
    entries = list(os.scandir(images))
    if not entries:
        raise UserError(f"image folder {images} is empty; {path.name} names images in it.")
    present = {entry.name for entry in entries if entry.is_file()}  # faster than to ask for each
    missing = [name for name in names if name not in present and not (images / name).is_file()]
    if missing:
        raise UserError(
            f"{path} names {len(missing)} images that are not in {images}: {some(missing)}. "
            "Copy them there, or use an annotation file without them."
        )


def require_annotated_size(path: Path | str, size: tuple[int, int], annotated: tuple[int, int] | None) -> None:
    """Raise UserError where an image of this (width, height) is annotated with another; None says nothing."""
    if annotated not in (None, size):
        found, said = (f"{width}x{height}" for width, height in (size, annotated))
        raise UserError(
            f"image {path} is {found} pixels, but its annotation says {said}. Correct the annotation file or replace the image."
        )
