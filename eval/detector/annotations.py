"""Read a COCO-format instances file, and refuse with a clear message what a detector cannot be trained or scored on."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError

REQUIRED = {
    "images": ("id", "file_name", "height", "width"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area"),
}


@dataclass(frozen=True)
class Annotations:
    """A checked annotation file. Category ids may have gaps; a detector's label i means `categories[i]`."""

    path: Path
    categories: list[dict[str, Any]]  # ascending ids
    images: list[dict[str, Any]]  # ascending ids
    of_image: dict[int, list[dict[str, Any]]]  # image id -> its annotations
    warnings: list[str]

    @property
    def category_ids(self) -> list[int]:
        """COCO category id of each label."""
        return [category["id"] for category in self.categories]

    @property
    def category_names(self) -> list[str]:
        """Name of each label."""
        return [category["name"] for category in self.categories]

    def document(self) -> dict[str, Any]:
        """Return the content as COCO's tools want it; the annotations are copies, since those tools write into them."""
        return {
            "images": self.images,
            "categories": self.categories,
            "annotations": [
                {"iscrowd": 0} | annotation
                for image in self.images
                for annotation in self.of_image.get(image["id"], ())
            ],
        }

    def count(self) -> int:
        """Number of annotations, crowds and boxes without area included."""
        return sum(map(len, self.of_image.values()))


def read_annotations(path: str | Path, images: str | Path | None, masks: bool = False) -> Annotations:
    """Read and check a COCO instances JSON.

    Args:
        path: the JSON file.
        images: folder that the `file_name`s are in; each must exist. None does not look.
        masks: every annotation must have a segmentation.

    Raises:
        UserError: no such file or folder, not JSON, missing keys, duplicate ids, no images or categories, annotations
            that name an unknown image or category, image files that are missing. Boxes without area are not an error
            (the official files have some): they are counted in `warnings`, and training leaves them out.
    """
    path = Path(path)
    content = _read_json(path)
    for section, keys in REQUIRED.items():
        _check_section(path, content, section, keys)
    for section in ("images", "categories"):
        if not content[section]:
            raise UserError(f"{path} lists no {section}: nothing can be trained or scored with it.")
    image_ids = {image["id"] for image in content["images"]}
    category_ids = {category["id"] for category in content["categories"]}
    of_image, flat = defaultdict(list), 0
    for annotation in content["annotations"]:
        name = f"{path}: annotation {annotation['id']}"
        if annotation["image_id"] not in image_ids:
            raise UserError(
                f"{name} names image {annotation['image_id']}, which is not in 'images'. "
                "Remove the annotation or add the image."
            )
        if annotation["category_id"] not in category_ids:
            raise UserError(
                f"{name} names category {annotation['category_id']}, which is not in 'categories' "
                f"({_some(sorted(category_ids))}). Add the category or correct the annotation."
            )
        if len(annotation["bbox"]) != 4:
            raise UserError(f"{name} must have a bbox [x, y, width, height], but has {annotation['bbox']}")
        if masks and not annotation.get("segmentation"):
            raise UserError(
                f"{name} has no segmentation, which Mask R-CNN is trained and scored on. Use an instances file with "
                "masks, or a Faster R-CNN recipe."
            )
        flat += min(annotation["bbox"][2:]) <= 0
        of_image[annotation["image_id"]].append(annotation)
    if images is not None:
        _check_files(path, Path(images), (image["file_name"] for image in content["images"]))
    warnings = [f"{path.name}: {flat} boxes without area take no part in training"] if flat else []
    return Annotations(
        path=path,
        categories=sorted(content["categories"], key=lambda category: category["id"]),
        images=sorted(content["images"], key=lambda image: image["id"]),
        of_image=dict(of_image),
        warnings=warnings,
    )


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


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
        hint = f" {path.parent} holds: {', '.join(near[:5])}." if near else ""
        raise UserError(
            f"annotation file {path} does not exist.{hint} Expected is DIR/annotations/*.json beside the image folders; "
            "data.* of the recipe names the files."
        )
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"annotation file {path} is not valid JSON: {error}. Download or write it again.") from error
    if not isinstance(content, dict):
        raise UserError(f"annotation file {path} must hold an object with images, annotations and categories")
    return content


def _check_section(path: Path, content: dict[str, Any], section: str, keys: tuple[str, ...]) -> None:
    """Check that a list is there, that its entries have their keys, and that no id comes twice."""
    if not isinstance(content.get(section), list):
        raise UserError(f"{path} lacks the list {section!r}; expected is a COCO instances file ({', '.join(REQUIRED)})")
    for index, entry in enumerate(content[section]):
        missing = [key for key in keys if key not in entry]
        if missing:
            raise UserError(f"{path}: {section}[{index}] lacks the key {missing[0]!r}")
    counts = Counter(entry["id"] for entry in content[section])
    twice = [key for key, count in counts.items() if count > 1]
    if twice:
        raise UserError(
            f"{path}: {len(twice)} ids come more than once in {section!r}: {_some(twice)}. Ids must be unique; "
            "number the entries anew or remove the duplicates."
        )


def _check_files(path: Path, images: Path, names: Iterable[str]) -> None:
    if not images.is_dir():
        raise UserError(f"image folder {images} does not exist; {path.name} names images in it.")
    present = {entry.name for entry in os.scandir(images)}
    if not present:
        raise UserError(f"image folder {images} is empty; {path.name} names images in it.")
    missing = [name for name in names if name not in present and not (images / name).is_file()]
    if missing:
        raise UserError(
            f"{path} names {len(missing)} images that are not in {images}: {_some(missing)}. "
            "Copy them there, or use an annotation file without them."
        )


def _some(values: list[Any]) -> str:
    shown = ", ".join(map(str, values[:5]))
    return f"{shown}, ... ({len(values)} in all)" if len(values) > 5 else shown
