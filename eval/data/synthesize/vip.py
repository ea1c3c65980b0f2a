"""Videos in VIP's layout: JPEG frames of a person who walks, palette masks of the parts, a list of videos."""

from pathlib import Path
from typing import Any

from eval.data.synthesize.davis import write_labels
from eval.data.synthesize.folder import draw_all, generator, write_bytes, write_jpeg
from eval.data.synthesize.person import draw_walk
from eval.vip.data import FRAMES, LISTS, MASKS

FOLDERS = ("Images", "Annotations", "lists")
STRIDE = 25  # between the numbers of two frames, as there


def draw(root: Path, seed: int, *, videos: int, frames: int, height: int, width: int, void: bool) -> dict[str, Any]:
    """Draw the videos of the val split."""
    names = [f"drawn-{index:02d}" for index in range(videos)]

    def draw_one(name: str) -> None:
        scene, _ = draw_walk(generator(seed, "vip", name), height, width, frames)
        for time in range(frames):
            view = scene.view(time)
            number = f"{1 + STRIDE * time:012d}"
            write_jpeg(root / FRAMES / name / f"{number}.jpg", view.image)
            write_labels(root / MASKS / name / f"{number}.png", view.labels, void)

    write_bytes(root / LISTS / "val_videos.txt", "".join(f"{name}\n" for name in names).encode())
    draw_all(draw_one, names)
    return {"videos": {"val": names}}
