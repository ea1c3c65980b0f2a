"""Pictures of poses: skeletons of the worst and best clips, predicted above true."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from eval.jhmdb.data import LIMBS, Clip
from eval.propagation.sheet import Cell, Row, cell_size, color_of, moments, read_shown, write_sheet


def write_pictures(
    clips: Sequence[Clip], poses: Mapping[str, np.ndarray], scores: Mapping[str, float], title: str, path: Path
) -> None:
    """Write a sheet of clips: prediction above ground truth.

    Args:
        clips: from worst to best; without frames they are drawn on gray.
        poses: by name of the clip, (frames, 15, 2) in pixels.
        scores: PCK@0.1 in percent by name, of those that have one.
        title: above.
        path: of the PNG.
    """
    rows = []
    for clip in clips:
        cells = []
        for index in moments(len(clip.joints)):
            pictures = [_draw(clip, index, pose[index]) for pose in (poses[clip.name], clip.joints)]
            cells.append(Cell(tuple(pictures), f"frame {index + 1}"))
        said = f"PCK@0.1 {scores[clip.name]:.1f}" if clip.name in scores else "no joint is followed"
        rows.append(Row(f"{clip.name}: {said}", tuple(cells)))
    write_sheet(rows, f"{title}, worst first: prediction above, ground truth below", path)


def _draw(clip: Clip, index: int, joints: np.ndarray) -> np.ndarray:
    """Return a frame in the size of a cell with a skeleton, (H, W, 3) RGB; limbs of lost joints are left out."""
    size = clip.size
    if not clip.frames:  # nothing tells how large they are: the joints shall have room
        right, bottom = np.maximum(clip.joints.max(axis=(0, 1)).astype(int) + 20, 40).tolist()
        size = (bottom, right)
    width, height = cell_size(size)
    frame = read_shown(clip.frames, index, (height, width))
    picture = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)[:, :, ::-1].copy()
    places = np.clip(joints * (width / size[1], height / size[0]), -1e4, 1e4)  # (15, 2)
    for number, ends in enumerate(LIMBS):
        if np.isfinite(places[list(ends)]).all():
            start, end = (tuple(places[joint].round().astype(int).tolist()) for joint in ends)
            cv2.line(picture, start, end, color_of(number + 1).tolist(), 2, cv2.LINE_AA)
    return picture
