"""What can be wrong with a COCO instances file: the one list that reading it and `eval data verify coco` go by."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from eval.detector.mask_code import pixels_of_codes
from flsl.runtime.errors import UserError
from flsl.runtime.names import safe_name

SECTIONS = {
    "images": ("id", "file_name", "height", "width"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area"),
}
LARGEST_SIDE = 65_535  # pixels: JPEG's limit; the tools' run lengths are of 32 bits
FARTHEST = 10**6  # pixels from an image's corner that a coordinate may have


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where in the file ("" for all of it), and what: the key, its value, what was expected.

    `odd` is what the published files have too, which training leaves out and the metrics can deal with; after something
    `unusable` nothing more can be looked at.
    """

    where: str
    text: str
    kind: Literal["odd", "wrong", "unusable"] = "wrong"

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.where, self.text)))


def find_faults(content: Any, masks: bool = False) -> Iterator[Fault]:
    """Yield everything that is wrong with the content of an instances file.

    Args:
        content: as JSON has it, any value.
        masks: every annotation must have a segmentation. One that is there is checked in any case.
    """
    unusable = list(_section_faults(content))
    yield from unusable
    if unusable:
        return
    yield from _id_faults(content)
    for index, image in enumerate(content["images"]):
        for text in _image_faults(image):
            yield Fault(f"images[{index}]", text)
    for name, times in Counter(map(_key, (image["file_name"] for image in content["images"]))).items():
        if times > 1:
            yield Fault("images", f"{name} is listed {times} times", "odd")
    for index, category in enumerate(content["categories"]):
        name = category["name"]
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            yield Fault(f"categories[{index}]", f"name must be text, but is {shown(name)}")

    sizes = {_key(image["id"]): (image["height"], image["width"]) for image in content["images"]}
    categories = {_key(category["id"]) for category in content["categories"]}
    codes: list[tuple[str, str, int]] = []
    for index, annotation in enumerate(content["annotations"]):
        where = f"annotation {annotation['id']}" if _is_id(annotation["id"]) else f"annotations[{index}]"
        if _key(annotation["category_id"]) not in categories:
            known = some(sorted(category["id"] for category in content["categories"] if _is_id(category["id"])))
            yield Fault(where, f"category_id {shown(annotation['category_id'])} is not in 'categories' ({known})")
        size = sizes.get(_key(annotation["image_id"]))
        if size is None:
            yield Fault(where, f"image_id {shown(annotation['image_id'])} is not in 'images'")
        elif _is_size(*size):
            for text, kind in _annotation_faults(annotation, *size, masks):
                yield Fault(where, text, kind)
            code = annotation.get("segmentation")
            if isinstance(code, dict) and isinstance(code.get("counts"), str):
                codes.append((where, code["counts"], size[0] * size[1]))
    pixels = pixels_of_codes([code for _, code, _ in codes]).tolist()
    for (where, _, wanted), found in zip(codes, pixels):
        if found != wanted:
            yield Fault(where, f"segmentation: {code_fault(found, wanted)}")


def code_fault(found: int, wanted: int) -> str:
    """Say what is wrong with a compressed code, of which `pixels_of_codes` found another number than the image has."""
    if found < 0:
        return "counts is no compressed run-length code; pycocotools.mask.encode makes them"
    return f"counts covers {found} pixels, but the image has {wanted}"


def box_fault(box: Any) -> str | None:
    """Return what is wrong with a bbox, None if it can be used; it may have no area and may leave its image."""
    if not isinstance(box, list) or len(box) != 4 or not are_numbers(box):
        return f"bbox must be [x, y, width, height], four numbers in pixels, but is {shown(box)}"
    return f"bbox {box} has a negative width or height" if min(box[2:]) < 0 else None


def are_numbers(values: list[Any], farthest: float = FARTHEST) -> bool:
    """Tell whether all values of a list (not empty) are numbers within +-`farthest`, NaN excluded."""
    return (
        {int, float}.issuperset(map(type, values))
        and -farthest <= min(values)
        and max(values) <= farthest
        and not math.isnan(sum(values))  # min and max may overlook one
    )


def _section_faults(content: Any) -> Iterator[Fault]:
    """Find lists, entries and keys that are missing."""
    if not isinstance(content, dict):
        yield Fault("", f"must hold an object with the lists {', '.join(SECTIONS)}", "unusable")
        return
    for section, keys in SECTIONS.items():
        entries = content.get(section)
        if not isinstance(entries, list):
            expected = f"expected is a COCO instances file ({', '.join(SECTIONS)})"
            yield Fault("", f"lacks the list {section!r}; {expected}", "unusable")
            continue
        if not entries and section != "annotations":
            yield Fault("", f"lists no {section}: nothing can be trained or scored with it", "unusable")
        for index, entry in enumerate(entries):
            where = f"{section}[{index}]"
            if not isinstance(entry, dict):
                yield Fault(where, f"must be an object, but is {shown(entry)}", "unusable")
            elif missing := [key for key in keys if key not in entry]:
                yield Fault(where, f"lacks the key {missing[0]!r}", "unusable")


def _id_faults(content: dict[str, Any]) -> Iterator[Fault]:
    for section in SECTIONS:
        for index, entry in enumerate(content[section]):
            if not _is_id(entry["id"]):
                yield Fault(f"{section}[{index}]", f"id must be a whole number, but is {shown(entry['id'])}")
        counts = Counter(_key(entry["id"]) for entry in content[section])
        if twice := [key for key, times in counts.items() if times > 1]:
            yield Fault("", f"{len(twice)} ids come more than once in {section!r}: {some(twice)}")


def _image_faults(image: dict[str, Any]) -> Iterator[str]:
    if not _is_size(image["height"], image["width"]):
        given = f"{shown(image['height'])} and {shown(image['width'])}"
        yield f"height and width must be whole numbers of 1 to {LARGEST_SIDE} pixels, but are {given}"
    try:
        safe_name(image["file_name"], "an image", "file_name", folders=True)
    except UserError as error:
        yield str(error)


def _annotation_faults(
    annotation: dict[str, Any], height: int, width: int, masks: bool
) -> Iterator[tuple[str, Literal["odd", "wrong"]]]:
    """Find what is wrong with the box, area, crowd flag and segmentation of one annotation."""
    box, area, crowd = annotation["bbox"], annotation["area"], annotation.get("iscrowd", 0)
    if fault := box_fault(box):
        yield fault, "wrong"
    elif min(box[2:]) == 0:
        yield f"box {box} has no area", "odd"
    elif box[0] >= width or box[1] >= height or box[0] + box[2] <= 0 or box[1] + box[3] <= 0:
        yield f"box {box} lies outside its picture of {width}x{height}", "odd"
    if type(area) not in (int, float) or not 0 <= area <= FARTHEST**2:
        yield f"area must be a number of pixels, 0 or more, but is {shown(area)}", "wrong"
    if crowd not in (0, 1):
        yield f"iscrowd must be 0 or 1, but is {shown(crowd)}", "wrong"
    segmentation = annotation.get("segmentation")
    if segmentation is None or segmentation == []:
        if masks:
            yield (
                "no segmentation, which Mask R-CNN is trained and scored on: use a file with masks, or Faster R-CNN",
                "wrong",
            )
    elif isinstance(segmentation, dict):
        for fault in _run_faults(segmentation, height, width):
            yield f"segmentation: {fault}", "wrong"
    elif isinstance(segmentation, list):
        fault = next(filter(None, (_polygon_fault(polygon, height, width) for polygon in segmentation)), None)
        if fault:
            yield f"segmentation: {fault}", "wrong"
        if crowd:
            yield "a crowd with polygons instead of run lengths", "odd"
    else:
        yield f"segmentation must be polygons or run lengths, but is {shown(segmentation)}", "wrong"


def _run_faults(code: dict[str, Any], height: int, width: int) -> Iterator[str]:
    size, counts = code.get("size"), code.get("counts")
    if size != [height, width]:
        yield f"run lengths of size {shown(size)} in an image of {[height, width]} (height, width)"
    if isinstance(counts, list):
        if set(map(type, counts)) != {int} or min(counts) < 0 or sum(counts) != height * width:
            yield f"counts must be whole numbers that add up to the image's {height * width} pixels"
    elif not isinstance(counts, str):
        yield f"counts must be run lengths or their compressed code, but is {shown(counts)}"


def _polygon_fault(polygon: Any, height: int, width: int) -> str | None:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        return f"a polygon needs three points or more, [x, y, x, y, x, y, ...], but is {shown(polygon)}"
    if not are_numbers(polygon):
        return f"a polygon's coordinates must be numbers of pixels, but it is {shown(polygon)}"
    # COCO's tools walk along the outline in steps of a fifth of a pixel.
    longest = min(10 * (height * width + height + width), 10**7)
    if len(polygon) * (max(polygon) - min(polygon)) > longest and _outline(polygon) > longest:
        return f"a polygon's outline is longer than {longest} pixels, in an image of {width}x{height}"
    return None


def _outline(polygon: list[float]) -> float:
    corners = list(zip(polygon[::2], polygon[1::2]))
    return sum(max(abs(a[0] - b[0]), abs(a[1] - b[1])) for a, b in pairwise([*corners, corners[0]]))


def _is_id(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**53


def _is_size(*sides: Any) -> bool:
    return all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides)


def _key(value: Any) -> Any:
    """Return an id as a dictionary can hold it, whatever it is; 7, 7.0 and True are different ones."""
    return value if type(value) in (int, str) else repr(value)


def some(values: list[Any]) -> str:
    """Return the first few values as text, and how many there are."""
    first = ", ".join(str(value)[:40] for value in values[:5])
    return f"{first}, ... ({len(values)} in all)" if len(values) > 5 else first


def shown(value: Any) -> str:
    """Return any value as text that is short enough for a message."""
    text = repr(value) if not isinstance(value, (list, dict)) or len(value) < 20 else repr(type(value)())
    return text if len(text) < 60 else text[:57] + "..."
