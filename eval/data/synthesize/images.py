"""Pictures in class folders: `train/CLASS/000000.jpg`, where the largest object's shape and texture make the class."""

from pathlib import Path

import numpy as np

from eval.data.synthesize.canvas import encode_jpeg
from eval.data.synthesize.folder import draw_all, fill_folder, generator, require_at_least, write_bytes
from eval.data.synthesize.scene import draw_scene, draw_thing
from eval.data.synthesize.shape import SHAPES
from eval.data.synthesize.texture import TEXTURES
from flsl.runtime.errors import UserError


def synthesize(root: Path, seed: int, *, count: int, classes: int, height: int, width: int) -> int:
    """Draw `count` pictures of `classes` classes into `root`; returns 0. Raises UserError (`fill_folder`)."""
    require_at_least(1, count=count, classes=classes)
    require_at_least(32, height=height, width=width)
    kinds = [(SHAPES[k % len(SHAPES)], TEXTURES[(k + k // len(SHAPES)) % len(TEXTURES)]) for k in range(classes)]
    if len(set(kinds)) < classes:
        raise UserError(f"--classes is {classes}; there are {len(SHAPES) * len(TEXTURES)} kinds of objects.")

    def draw(index: int) -> None:
        shape, texture = kinds[index % classes]
        image = draw_picture(generator(seed, "images", index), shape, texture, height, width)
        write_bytes(root / "train" / f"{shape}-{texture}" / f"{index:06d}.jpg", encode_jpeg(image))

    def write() -> dict:
        draw_all(draw, range(count))
        return {"images": count}

    parameters = {"count": count, "classes": classes, "height": height, "width": width}
    return fill_folder(root, "images", seed, parameters, ["train"], write)


def draw_picture(rng: np.random.Generator, shape: str, texture: str, height: int, width: int) -> np.ndarray:
    """Return one picture (height, width, 3) uint8 BGR: a main object among up to four smaller ones, some before it."""
    side = min(height, width)
    main = draw_thing(
        rng,
        label=1,
        center=(width * rng.uniform(0.35, 0.65), height * rng.uniform(0.35, 0.65)),
        radius=side * rng.uniform(0.25, 0.38),
        shape=shape,
        texture=texture,
        suppleness=0.06,
    )
    others = [
        draw_thing(rng, 0, tuple(rng.uniform(0, (width, height))), side * rng.uniform(0.07, 0.16), suppleness=0.06)
        for _ in range(rng.integers(1, 5))
    ]
    before = rng.integers(0, 2)
    return draw_scene(rng, [*others[before:], main, *others[:before]], height, width).view().image
