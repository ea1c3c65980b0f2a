"""Pictures in class folders: `train/CLASS/000000.jpg`, where the largest object's shape and texture make the class."""

from pathlib import Path
from typing import Any

import numpy as np

from eval.data.synthesize.folder import draw_all, generator, write_jpeg
from eval.data.synthesize.scene import Scene, Thing
from eval.data.synthesize.shape import SHAPES
from eval.data.synthesize.texture import TEXTURES

FOLDERS = ("train",)


def draw(root: Path, seed: int, *, count: int, classes: int, height: int, width: int) -> dict[str, Any]:
    """Draw `count` pictures of `classes` classes, at most one for each shape and texture."""
    kinds = [(SHAPES[k % len(SHAPES)], TEXTURES[(k + k // len(SHAPES)) % len(TEXTURES)]) for k in range(classes)]

    def draw_one(index: int) -> None:
        shape, texture = kinds[index % classes]
        image = draw_picture(generator(seed, "images", index), shape, texture, height, width)
        write_jpeg(root / "train" / f"{shape}-{texture}" / f"{index:06d}.jpg", image)

    draw_all(draw_one, range(count))
    return {"images": count}


def draw_picture(rng: np.random.Generator, shape: str, texture: str, height: int, width: int) -> np.ndarray:
    """Return one picture (height, width, 3) uint8 BGR: a main object among up to four smaller ones, some before it."""
    side = min(height, width)
    main = Thing(
        rng,
        label=1,
        center=(width * rng.uniform(0.35, 0.65), height * rng.uniform(0.35, 0.65)),
        radius=side * rng.uniform(0.25, 0.38),
        shape=shape,
        texture=texture,
        suppleness=0.06,
    )
    others = [
        Thing(rng, 0, tuple(rng.uniform(0, (width, height))), side * rng.uniform(0.07, 0.16), suppleness=0.06)
        for _ in range(rng.integers(1, 5))
    ]
    before = rng.integers(0, 2)
    return Scene(rng, [*others[before:], main, *others[:before]], height, width).view().image
