"""Videos in VIP's layout: JPEG frames of a person who walks, palette masks of the parts, a list of videos."""

from pathlib import Path
from typing import Any

import numpy as np

from eval.data.synthesize.davis import borders
from eval.data.synthesize.folder import draw_all, generator, write_bytes, write_jpeg
from eval.data.synthesize.person import draw_walk
from eval.palette import voc_colors
from eval.propagation.masks import write_mask
from eval.vip.data import FRAMES, LISTS, MASKS
from flsl.confusion import VOID

FOLDERS = ("Images", "Annotations", "lists")
STRIDE = 25  # between the numbers of two frames, as there


def draw(root: Path, seed: int, *, videos: int, frames: int, height: int, width: int, void: bool) -> dict[str, Any]:
    """Draw the videos of the val split."""
    names = [f"drawn-{index:02d}" for index in range(videos)]
    colors = voc_colors().ravel().tolist()

    def draw_one(name: str) -> None:
        scene, _ = draw_walk(generator(seed, "vip", name), height, width, frames)
        for time in range(frames):
            view = scene.view(time)
            number = f"{1 + STRIDE * time:012d}"
            write_jpeg(root / FRAMES / name / f"{number}.jpg", view.image)
            labels = view.labels.astype(np.uint8)
            if void:
                labels[borders(labels)] = VOID
            write_mask(root / MASKS / name / f"{number}.png", labels, colors)

    write_bytes(root / LISTS / "val_videos.txt", "".join(f"{name}\n" for name in names).encode())
    draw_all(draw_one, names)
    return {"videos": {"val": names}}
