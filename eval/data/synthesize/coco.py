"""Pictures in the COCO 2017 layout: instance JSON with polygons, a crowd region and a picture without annotations."""

from pathlib import Path
from typing import Any

import numpy as np

from eval.data.synthesize.folder import draw_all, generator, write_jpeg, write_json
from eval.data.synthesize.polygons import mask_box, mask_to_polygons, mask_to_runs
from eval.data.synthesize.scene import Scene, Thing, View

FOLDERS = ("annotations", "train2017", "val2017")
# Category ids have gaps, as COCO's own do. A category is its shape; the texture agrees with it most of the time.
CATEGORIES = {"disc": (1, "dots"), "triangle": (3, "stripes"), "star": (4, "checks"), "cross": (9, "waves")}
EMPTY, CROWDED = 0, 1  # which pictures of a split have no annotation, and the crowd
LEAST_VISIBLE = 0.35  # objects hidden further than this are taken out of the picture


def draw(root: Path, seed: int, *, count: int, val_count: int, height: int, width: int) -> dict[str, Any]:
    """Draw both splits."""
    splits = {"train2017": count, "val2017": val_count}
    categories = [{"id": number, "name": name, "supercategory": "shape"} for name, (number, _) in CATEGORIES.items()]

    def draw_one(item: tuple[str, int]) -> list[dict[str, Any]]:
        split, index = item
        image, annotations = draw_picture(generator(seed, "coco", split, index), index, height, width)
        write_jpeg(root / split / f"{image_id(split, index):012d}.jpg", image)
        return annotations

    for split, pictures in splits.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index, found in enumerate(draw_all(draw_one, [(split, index) for index in range(pictures)])):
            number = image_id(split, index)
            images.append({"id": number, "file_name": f"{number:012d}.jpg", "height": height, "width": width})
            for annotation in found:
                annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
        content = {
            "info": {"description": f"synthetic shapes, {split}, seed {seed}", "version": "1.0"},
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": categories,
        }
        write_json(root / "annotations" / f"instances_{split}.json", content, indent=None)
    return {"images": splits}


def image_id(split: str, index: int) -> int:
    """Return an image id that no other picture of either split has; in twelve digits it is the file's name."""
    return (100001 if split == "train2017" else 200001) + 3 * index


def draw_picture(
    rng: np.random.Generator, index: int, height: int, width: int
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Return one picture (height, width, 3) uint8 BGR and its annotations (without ids)."""
    crowd = _draw_crowd(rng, height, width) if index == CROWDED else []
    labels = range(len(crowd) + 1, len(crowd) + 1 + (0 if index == EMPTY else int(rng.integers(2, 7))))
    things = [draw_object(rng, label, height, width) for label in labels]
    scene = Scene(rng, [*crowd, *things], height, width)
    view = scene.view()
    # Each object taken out can only uncover others, so this ends.
    while hidden := {thing.label for thing in things if not _well_visible(view, thing.label)}:
        things = [thing for thing in things if thing.label not in hidden]
        scene.things = [*crowd, *things]
        view = scene.view()
    annotations = [_annotation(view.labels == thing.label, thing.shape) for thing in things]
    if crowd:
        members = (view.labels >= 1) & (view.labels <= len(crowd))
        annotations.append(_annotation(members, crowd[0].shape, crowd=True))
    return view.image, annotations


def draw_object(rng: np.random.Generator, label: int, height: int, width: int) -> Thing:
    """Return one object somewhere in the frame, at most a little over its edge."""
    shape = str(rng.choice(list(CATEGORIES)))
    texture = CATEGORIES[shape][1] if rng.random() < 0.7 else None
    center = (width * rng.uniform(0.08, 0.92), height * rng.uniform(0.08, 0.92))
    return Thing(rng, label, center, min(height, width) * rng.uniform(0.08, 0.24), shape, texture)


def _draw_crowd(rng: np.random.Generator, height: int, width: int) -> list[Thing]:
    """Return fifteen small discs, too close together to be told apart, labeled from 1."""
    middle = rng.uniform(0.3, 0.7, 2) * (width, height)
    return [
        Thing(rng, label, tuple(middle + rng.normal(0, 0.08, 2) * (width, height)), 0.05 * height, "disc", "dots")
        for label in range(1, 16)
    ]


def _well_visible(view: View, label: int) -> bool:
    """Tell whether enough of an object is seen for it to be named."""
    return view.visible_share(label) >= LEAST_VISIBLE and np.count_nonzero(view.labels == label) >= 40


def _annotation(mask: np.ndarray, shape: str, crowd: bool = False) -> dict[str, Any]:
    """Return the annotation of a visible mask (H, W) bool."""
    return {
        "category_id": CATEGORIES[shape][0],
        "segmentation": mask_to_runs(mask) if crowd else mask_to_polygons(mask),
        "area": int(np.count_nonzero(mask)),
        "bbox": mask_box(mask),
        "iscrowd": int(crowd),
    }
