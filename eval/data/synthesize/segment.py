"""Pictures with a mask of classes, in the layout of a folder with a class list; borders of objects are void."""

from pathlib import Path
from typing import Any

import numpy as np

from eval.data.synthesize.coco import CATEGORIES, draw_object
from eval.data.synthesize.davis import borders
from eval.data.synthesize.folder import draw_all, generator, write_bytes, write_jpeg
from eval.data.synthesize.scene import Scene
from eval.palette import voc_colors
from eval.propagation.masks import write_mask
from flsl.confusion import VOID

FOLDERS = ("images", "masks", "classes.txt")
CLASSES = ("background", *CATEGORIES)


def draw(root: Path, seed: int, *, count: int, val_count: int, height: int, width: int) -> dict[str, Any]:
    """Draw both splits."""
    splits = {"train": count, "val": val_count}
    colors = voc_colors().ravel().tolist()
    write_bytes(root / "classes.txt", "".join(f"{name}\n" for name in CLASSES).encode())

    def draw_one(item: tuple[str, int]) -> None:
        split, index = item
        image, mask = draw_picture(generator(seed, "segment", split, index), height, width)
        write_jpeg(root / "images" / split / f"{index:06d}.jpg", image)
        write_mask(root / "masks" / split / f"{index:06d}.png", mask, colors)

    draw_all(draw_one, [(split, index) for split, pictures in splits.items() for index in range(pictures)])
    return {"images": splits}


def draw_picture(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one picture (height, width, 3) uint8 BGR of two to six objects, and its mask (height, width) uint8."""
    things = [draw_object(rng, label, height, width) for label in range(1, int(rng.integers(3, 8)))]
    view = Scene(rng, things, height, width).view()
    classes = np.array([0, *(CLASSES.index(thing.shape) for thing in things)], np.uint8)
    return view.image, np.where(borders(view.labels), np.uint8(VOID), classes[view.labels])
