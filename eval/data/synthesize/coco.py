"""Pictures in the COCO 2017 layout: instance JSON with polygons, a crowd region and a picture without annotations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.data.synthesize.canvas import encode_jpeg
from eval.data.synthesize.folder import draw_all, fill_folder, generator, require_at_least, write_bytes, write_json
from eval.data.synthesize.polygons import mask_box, mask_to_polygons, mask_to_runs
from eval.data.synthesize.scene import Thing, View, draw_scene, draw_thing

# Category ids have gaps, as COCO's own do. A category is its shape; the texture agrees with it most of the time.
CATEGORIES = {"disc": (1, "dots"), "triangle": (3, "stripes"), "star": (4, "checks"), "cross": (9, "waves")}
EMPTY, CROWDED = 0, 1  # which pictures of a split have no annotation, and the crowd
LEAST_VISIBLE = 0.35  # objects hidden further than this are taken out of the picture


def synthesize(root: Path, seed: int, *, count: int, val_count: int, height: int, width: int) -> int:
    """Draw two splits into `root`; returns 0. Raises UserError (`fill_folder`)."""
    require_at_least(3, count=count, val_count=val_count)
    require_at_least(64, height=height, width=width)
    splits = {"train2017": count, "val2017": val_count}

    def draw(item: tuple[str, int]) -> list[dict[str, Any]]:
        split, index = item
        image, annotations = draw_picture(generator(seed, "coco", split, index), index, height, width)
        write_bytes(root / split / _file_name(split, index), encode_jpeg(image))
        return annotations

    def write() -> dict:
        for split, pictures in splits.items():
            drawn = draw_all(draw, [(split, index) for index in range(pictures)])
            images = [
                {"id": _image_id(split, i), "file_name": _file_name(split, i), "height": height, "width": width}
                for i in range(pictures)
            ]
            annotations = [
                {"id": number, "image_id": image["id"], **annotation}
                for number, (image, annotation) in enumerate(
                    ((image, a) for image, listed in zip(images, drawn) for a in listed), start=1
                )
            ]
            content = {
                "info": {"description": f"synthetic shapes, {split}, seed {seed}", "version": "1.0"},
                "licenses": [],
                "images": images,
                "annotations": annotations,
                "categories": [
                    {"id": number, "name": name, "supercategory": "shape"} for name, (number, _) in CATEGORIES.items()
                ],
            }
            write_json(root / "annotations" / f"instances_{split}.json", content, indent=None)
        return {"images": splits}

    parameters = {"count": count, "val_count": val_count, "height": height, "width": width}
    return fill_folder(root, "coco", seed, parameters, ["annotations", *splits], write)


def draw_picture(
    rng: np.random.Generator, index: int, height: int, width: int
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Return one picture (height, width, 3) uint8 BGR and its annotations (without ids)."""
    crowd = _draw_crowd(rng, height, width) if index == CROWDED else []
    labels = range(len(crowd) + 1, len(crowd) + 1 + (0 if index == EMPTY else int(rng.integers(2, 7))))
    things = [_draw_object(rng, label, height, width) for label in labels]
    scene = draw_scene(rng, [*crowd, *things], height, width)
    view = scene.view()
    # Each object taken out can only uncover others, so this ends.
    while hidden := {thing.label for thing in things if not _well_visible(view, thing.label)}:
        things = [thing for thing in things if thing.label not in hidden]
        view = replace(scene, things=(*crowd, *things)).view()
    annotations = [_annotation(view.labels == thing.label, thing.shape) for thing in things]
    if crowd:
        members = (view.labels >= 1) & (view.labels <= len(crowd))
        annotations.append(_annotation(members, crowd[0].shape, crowd=True))
    return view.image, annotations


def _draw_object(rng: np.random.Generator, label: int, height: int, width: int) -> Thing:
    """Return one object somewhere in the frame, at most a little over its edge."""
    shape = str(rng.choice(list(CATEGORIES)))
    texture = CATEGORIES[shape][1] if rng.random() < 0.7 else None
    center = (width * rng.uniform(0.08, 0.92), height * rng.uniform(0.08, 0.92))
    return draw_thing(rng, label, center, min(height, width) * rng.uniform(0.08, 0.24), shape, texture)


def _draw_crowd(rng: np.random.Generator, height: int, width: int) -> list[Thing]:
    """Return fifteen small discs, too close together to be told apart, labeled from 1."""
    middle = rng.uniform(0.3, 0.7, 2) * (width, height)
    return [
        draw_thing(rng, label, tuple(middle + rng.normal(0, 0.08, 2) * (width, height)), 0.05 * height, "disc", "dots")
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


def _image_id(split: str, index: int) -> int:
    """Return an image id that no other picture of either split has."""
    return (100001 if split == "train2017" else 200001) + 3 * index


def _file_name(split: str, index: int) -> str:
    """Return the file's name: the image id in twelve digits, as in COCO."""
    return f"{_image_id(split, index):012d}.jpg"
