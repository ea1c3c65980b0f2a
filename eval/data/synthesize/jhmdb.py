"""Clips in JHMDB's layout: PNG frames of a person who walks or runs, files of joints, a list an action."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from eval.data.synthesize.folder import draw_all, generator, write_bytes, write_png
from eval.data.synthesize.person import draw_walk
from eval.jhmdb.data import CODES, FRAMES, LIST_END, LISTS, POSITIONS, VARIABLE, positions_path

FOLDERS = (FRAMES, POSITIONS, LISTS)
ACTIONS = {"walk": 1.0, "run": 1.4}  # and how far the limbs swing
HEADER = 116  # bytes of text at the beginning of a MATLAB file


def draw(
    root: Path, seed: int, *, clips: int, train_clips: int, frames: int, height: int, width: int
) -> dict[str, Any]:
    """Draw the clips of both splits, of either action in turn."""
    splits = {
        split: [f"{list(ACTIONS)[index % len(ACTIONS)]}/drawn_{split}_{index:02d}" for index in range(count)]
        for split, count in (("train", train_clips), ("test", clips))
    }

    def draw_one(name: str) -> None:
        swing = ACTIONS[name.partition("/")[0]]
        scene, joints = draw_walk(generator(seed, "jhmdb", name), height, width, frames, swing)
        write_bytes(positions_path(root, name), positions_file(joints))
        for time in range(frames):
            write_png(root / FRAMES / name / f"{time + 1:05d}.png", scene.view(time).image)

    lines: dict[str, str] = {}
    for split, names in splits.items():
        for action, _, clip in (name.partition("/") for name in names):
            lines[action] = lines.get(action, "") + f"{clip}.avi {CODES[split]}\n"
    for action, text in lines.items():
        write_bytes(root / LISTS / f"{action}{LIST_END}", text.encode())
    draw_all(draw_one, [name for names in splits.values() for name in names])
    return {"clips": splits}


def positions_file(joints: np.ndarray) -> bytes:
    """Return the MATLAB file of joints (frames, 15, 2), x and y in pixels counted from 0; it counts from 1."""
    from scipy.io import savemat  # takes a while

    content = BytesIO()
    savemat(content, {VARIABLE: joints.transpose(2, 1, 0) + 1})
    # Its text tells the time of writing: the same seed shall give the same bytes.
    return b"MATLAB 5.0 MAT-file".ljust(HEADER) + content.getvalue()[HEADER:]
