"""Predicted poses of a clip: how they are made, and the file that holds them.

`predictions/<action>/<clip>/poses.json` is {"poses": [[[x, y], null, ...], ...]}: for each frame the 15 joints of
`eval.jhmdb.data.JOINTS`, in pixels of the frame counted from 0, null for a joint that is lost.
"""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.detector.annotation_checks import are_numbers
from eval.jhmdb.data import JOINTS, Clip
from eval.jhmdb.protocols import PoseProtocol
from eval.json_text import parse_json
from flsl.runtime.errors import UserError
from flsl.runtime.files import read_file, write_text

if TYPE_CHECKING:  # poses are scored without torch, which takes seconds
    import torch

    from flsl.encoder import Encoder
    from flsl.runtime.stopwatch import Stopwatch

FILE = "poses.json"
LARGEST = 64 << 20  # bytes of a file; a clip of 40 frames has some 30,000


def follow_clip(
    encoder: "Encoder",
    video: Clip,
    protocol: PoseProtocol,
    out: Path,
    *,
    device: "torch.device",
    bfloat16: bool,
    watch: "Stopwatch",
    on_frame: Callable[[], None],
) -> None:
    """Write the poses of all frames of a clip to the folder `out`; see `eval.propagation.workers`.

    Raises:
        UserError: a frame cannot be read.
    """
    from eval.jhmdb.joints import joint_labels, joint_places
    from eval.propagation.follow import follow

    frame = protocol.size(*video.size, encoder.patch_size)
    first = partial(joint_labels, video.joints[0], video.size, frame)
    poses = []
    for labels in follow(encoder, video, {0: first}, protocol, device=device, bfloat16=bfloat16, watch=watch):
        with watch.phase("output"):
            poses.append(joint_places(labels, video.size, protocol.tokens))
        on_frame()
    write_poses(out / FILE, np.stack(poses))


def write_poses(path: Path, poses: np.ndarray) -> None:
    """Write poses (frames, 15, 2), NaN for joints that are lost; the file appears whole or not at all."""
    rows = [[None if np.isnan(joint).any() else joint.tolist() for joint in pose] for pose in poses]
    shutil.rmtree(path.parent, ignore_errors=True)
    write_text(path, json.dumps({"poses": rows}))


def read_poses(path: Path, frames: int) -> np.ndarray:
    """Return poses (frames, 15, 2) float64 of the first `frames` frames, NaN for joints that are lost.

    Raises:
        UserError: the file is missing or no such file, or has fewer frames.
    """
    expected = f'{{"poses": [...]}} with {len(JOINTS)} joints of {frames} frames or more, each [x, y] in pixels or null'
    try:
        content = parse_json(read_file(path, LARGEST))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON ({str(error)[:80]}). Expected is {expected}.") from error
    rows = content.get("poses") if isinstance(content, dict) else None
    if not isinstance(rows, list) or len(rows) < frames:
        raise UserError(f"{path} does not hold the poses of the clip. Expected is {expected}.")
    poses = np.full((frames, len(JOINTS), 2), np.nan)
    for number, row in enumerate(rows[:frames]):
        if not isinstance(row, list) or len(row) != len(JOINTS):
            raise UserError(f"{path}, frame {number + 1}, has not {len(JOINTS)} joints. Expected is {expected}.")
        for joint, place in enumerate(row):
            if place is None:
                continue
            if not (isinstance(place, list) and len(place) == 2 and are_numbers(place, 1e9)):
                raise UserError(
                    f"{path}, frame {number + 1}: {JOINTS[joint]} is {place!r:.60}. Expected is {expected}."
                )
            poses[number, joint] = place
    return poses
