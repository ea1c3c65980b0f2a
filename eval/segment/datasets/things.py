"""COCO-Things: maps of classes from the objects of a COCO instances file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.detector.annotations import Annotations, instances_of, read_annotations, read_json, require_same_categories
from eval.segment.datasets.data import MOST_CLASSES, Split, unknown_split
from flsl.confusion import VOID
from flsl.runtime.errors import UserError
from flsl.runtime.files import sha256_of_file

BACKGROUND = "background"


def read_classes(root: Path, split: str) -> tuple[str, ...]:
    """Return the background and the names of the categories, by ascending id."""
    annotations = read_annotations(instances_of(root, split), None, masks=True)
    names = (BACKGROUND, *annotations.category_names)
    if len(names) > MOST_CLASSES:
        raise UserError(
            f"{annotations.path} has {len(names) - 1} categories; a mask of bytes holds {MOST_CLASSES - 1} at most, "
            "beside background and void."
        )
    return names


def open_split(root: Path, splits: list[str], val: str, split: str) -> Split:
    """Open the images that `instances_SPLIT.json` lists; its categories must be those of the split that is evaluated."""
    if split not in splits:
        raise unknown_split(split, splits, root)
    places = (root / split, root / "images" / split)
    folder = next((place for place in places if place.is_dir()), places[0])
    annotations = read_annotations(instances_of(root, split), folder, masks=True)
    if split != val:
        scored = instances_of(root, val)
        require_same_categories(annotations.categories, read_json(scored)["categories"], scored)
    names = tuple(Path(image["file_name"]).with_suffix("").as_posix() for image in annotations.images)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{annotations.path} lists {twice} more than once. Correct the file, or get it again.")
    images = tuple(folder / image["file_name"] for image in annotations.images)
    return Split(root, split, names, images, InstanceMasks(annotations))


@dataclass(frozen=True)
class InstanceMasks:
    """Masks drawn from objects: category i of the file is class i + 1, the rest is background.

    Where objects overlap, the smaller one (by its `area`) is seen: a tie lies on a person. A crowd is void where no
    object is.
    """

    annotations: Annotations

    def read(self, index: int) -> np.ndarray:
        """Draw a mask, (H, W) uint8."""
        from pycocotools import mask as rle

        from eval.metrics.mask_overlap import compressed

        image = self.annotations.images[index]
        height, width = image["height"], image["width"]
        labels = {number: label for label, number in enumerate(self.annotations.category_ids, start=1)}
        mask = np.zeros((height, width), np.uint8)
        for annotation in self._from_back(image["id"]):
            inside = rle.decode(compressed(annotation["segmentation"], height, width)).astype(bool)
            mask[inside] = VOID if annotation.get("iscrowd") else labels[annotation["category_id"]]
        return mask

    def _from_back(self, image: int) -> list[dict[str, Any]]:
        """Return an image's annotations from the crowds to the smallest object."""
        listed = self.annotations.of_image.get(image, [])
        return sorted(listed, key=lambda entry: (not entry.get("iscrowd"), -entry["area"], entry["id"]))

    def source(self, index: int) -> Path:
        """Return the annotation file."""
        return self.annotations.path

    def digest(self) -> str:
        """Hash the annotation file."""
        return sha256_of_file(self.annotations.path)
