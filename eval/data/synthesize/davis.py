"""Clips in the DAVIS 2017 layout: JPEG frames, palette masks of several objects, lists of sequences."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eval.data.synthesize.folder import draw_all, generator, write_bytes, write_jpeg
from eval.data.synthesize.scene import Scene, Thing
from eval.davis.edition import DAVIS_2017, FRAMES, MASKS
from eval.palette import voc_colors
from eval.propagation.masks import write_mask
from flsl.confusion import VOID

FOLDERS = ("JPEGImages", "Annotations", "ImageSets")


def draw(
    root: Path,
    seed: int,
    *,
    sequences: int,
    train_sequences: int,
    frames: int,
    height: int,
    width: int,
    void: bool,
    flicker: int,
) -> dict[str, Any]:
    """Draw the clips of both splits."""
    splits = {
        "train": [f"drawn-train-{index:02d}" for index in range(train_sequences)],
        "val": [f"drawn-{index:02d}" for index in range(sequences)],
    }

    def draw_one(name: str) -> None:
        scene = draw_clip(generator(seed, "davis", name), height, width, flicker / 100)
        for time in range(frames):
            view = scene.view(time)
            write_jpeg(root / f"{FRAMES}/{name}/{time:05d}.jpg", view.image)
            write_labels(root / f"{MASKS}/{name}/{time:05d}.png", view.labels, void)

    for split, names in splits.items():
        if not names:
            continue  # a list of nothing is a broken one
        write_bytes(root / DAVIS_2017.lists / f"{split}.txt", "".join(f"{name}\n" for name in names).encode())
    draw_all(draw_one, [name for names in splits.values() for name in names])
    return {"sequences": splits}


def draw_clip(rng: np.random.Generator, height: int, width: int, flicker: float) -> Scene:
    """Return a scene of two to four objects, all well visible in the first frame, that cross later.

    Objects and background share a hue, colored light swings, objects move by a tenth of their size a frame, and an
    unlabeled object of the same kind passes in front: neither place nor color alone tells them apart.
    """
    side = min(height, width)
    while True:
        kind: dict[str, Any] = {"hue": rng.uniform(0, 180), "speed": 0.045 * side, "suppleness": 0.1}
        things = []
        for label in range(1, int(rng.integers(2, 5)) + 1):
            center = (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.25, 0.75))
            things.append(Thing(rng, label, center, side * rng.uniform(0.13, 0.22), **kind))
        hider = Thing(rng, 0, (width * rng.uniform(0.2, 0.8), height / 2), side * 0.1, **kind)
        scene = Scene(rng, [*things, hider], height, width, speed=0.01 * side, hue=kind["hue"], flicker=flicker)
        first = scene.view(0)
        if all(first.visible_share(thing.label) > 0.5 for thing in things):
            return scene


def write_labels(path: Path, labels: np.ndarray, void: bool) -> None:
    """Write ids (H, W) as a palette mask; with `void` they are void where an object meets something else."""
    mask = labels.astype(np.uint8)
    if void:
        mask[borders(mask)] = VOID
    write_mask(path, mask, voc_colors().ravel().tolist())


def borders(labels: np.ndarray) -> np.ndarray:
    """Return where an object meets something else, (H, W) bool."""
    kernel = np.ones((3, 3), np.uint8)
    return cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)
