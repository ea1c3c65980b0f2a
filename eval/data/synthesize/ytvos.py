"""Videos in YouTube-VOS's layout: clips as in DAVIS's, in which one object appears later; a meta.json for each split."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.data.synthesize.canvas import Canvas
from eval.data.synthesize.davis import draw_clip, write_labels
from eval.data.synthesize.folder import draw_all, generator, write_jpeg, write_json
from eval.data.synthesize.scene import Drawable, Scene, Thing
from eval.ytvos.files import FRAMES, MASKS, TRAIN
from eval.ytvos.meta import META

FOLDERS = ("valid", TRAIN)
STRIDE = 5  # between the numbers of two frames, as there
UNSEEN = ("leaf", "gear")  # shapes that no clip to train on has
FLICKER = 0.35  # how far the brightness of each color swings


@dataclass(frozen=True)
class Late:
    """A thing that is not there before a time."""

    thing: Drawable
    begin: int

    @property
    def label(self) -> int:
        """The thing's."""
        return self.thing.label

    def draw(self, canvas: Canvas, time: float, offset: tuple[float, float]) -> int:
        """Paste the thing, if it is time."""
        return self.thing.draw(canvas, time, offset) if time >= self.begin else 0


def draw(
    root: Path, seed: int, *, videos: int, train_videos: int, frames: int, height: int, width: int, given_only: bool
) -> dict[str, Any]:
    """Draw the videos of both splits; `given_only` leaves valid/ the masks of objects' first frames, as the official one has."""
    splits = {
        "valid": [f"drawn-{index:02d}" for index in range(videos)],
        TRAIN: [f"drawn-train-{index:02d}" for index in range(train_videos)],
    }

    def draw_one(split: str, name: str) -> dict[str, Any]:
        rng = generator(seed, "ytvos", name)
        scene, shapes = _draw_scene(rng, height, width, frames, split == TRAIN)
        seen: dict[int, list[int]] = {label: [] for label in shapes}
        for time in range(frames):
            view, file = scene.view(time), f"{name}/{STRIDE * time:05d}"
            write_jpeg(root / split / FRAMES / f"{file}.jpg", view.image)
            there = set(np.unique(view.labels).tolist()) & seen.keys()
            for label in there:
                seen[label].append(time)
            new = [label for label in there if seen[label] == [time]]
            if given_only and split == "valid":
                view.labels[~np.isin(view.labels, new)] = 0
            if new or split == TRAIN or not given_only:
                write_labels(root / split / MASKS / f"{file}.png", view.labels, void=False)
        objects = {
            str(label): {"category": shapes[label], "frames": [f"{STRIDE * time:05d}" for time in times]}
            for label, times in seen.items()
            if times
        }
        return {"objects": objects}

    for split, names in splits.items():
        if names:
            drawn = draw_all(partial(draw_one, split), names)
            write_json(root / split / META, {"videos": dict(zip(names, drawn))})
    return {"videos": splits}


def _draw_scene(
    rng: np.random.Generator, height: int, width: int, frames: int, train: bool
) -> tuple[Scene, dict[int, str]]:
    """Return a clip whose last object appears after the first frame and before the last, and each object's shape."""
    while True:
        scene = draw_clip(rng, height, width, FLICKER)
        shapes = {thing.label: thing.shape for thing in scene.things if isinstance(thing, Thing) and thing.label}
        if len(shapes) > 1 and not (train and set(shapes.values()) & set(UNSEEN)):
            break
    begin = int(rng.integers(1, frames - 1))
    scene.things = [Late(thing, begin) if thing.label == max(shapes) else thing for thing in scene.things]
    return scene, shapes
