"""Frames for real UAVDT ground-truth files, so that the whole chain runs on real box statistics.

A road where the boxes are, a vehicle in each, trees over what is occluded, parked cars in ignore regions.
"""

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, centered
from eval.data.synthesize.folder import draw_all, fill_folder, generator, write_bytes, write_jpeg
from eval.data.synthesize.road import ASPHALT, draw_crown, draw_ground, fill_car_park
from eval.data.synthesize.traffic import photograph
from eval.data.synthesize.uavdt import FOLDERS, frame_path
from eval.data.synthesize.vehicle import SIZES, draw_vehicle
from eval.uavdt.files import SequenceTruth, ignore_path, read_truth, whole_path
from eval.uavdt.layout import TRUTH
from eval.uavdt.sequences import Sequence, official_sequences
from flsl.runtime.apart import require_apart
from flsl.runtime.errors import UserError, require_between
from flsl.runtime.files import sha256_of_file

NAME = "synthetic-uavdt-from-gt"
HIDDEN_SHARE = {1: 0.0, 2: 0.85, 3: 0.5, 4: 0.15}  # of a box, by UAVDT's occlusion code: none, large, medium, small
SMOOTHING = 15  # frames over which a track's direction is taken


def synthesize_from_gt(
    root: Path, source: Path, seed: int, *, frames: int | None = None, height: int = 540, width: int = 1024
) -> int:
    """Copy the ground truth of the UAVDT copy `source` to `root` and draw a vehicle into every box; returns 0.

    `frames` cuts every sequence, and its ground truth; pictures have (height, width) pixels, by default UAVDT's own.

    Raises:
        UserError: no ground truth there, a malformed row, boxes outside such frames, or anything that `fill_folder` refuses.
    """
    require_apart(root, {"the files of --from-gt": source}, option="DIR")
    folder = source / TRUTH
    names = sorted(path.name.removesuffix("_gt_whole.txt") for path in folder.glob("*_gt_whole.txt"))
    if not names:
        raise UserError(
            f"--from-gt {source}: no {TRUTH}/*_gt_whole.txt in it. Give the folder into which the official "
            "UAV-benchmark-MOTD_v1.0 archive was unpacked."
        )
    require_between(64, height=height, width=width)
    require_between(1, frames=1 if frames is None else frames)
    truths = [read_truth(folder, name, None) for name in names]
    for truth in truths:
        if (truth.box[:, 0] >= width).any() or (truth.box[:, 1] >= height).any():
            raise UserError(
                f"boxes of {truth.name} lie outside frames of {width}x{height}. Leave out --height and --width: "
                "ground-truth boxes are not rescaled, and UAVDT's frames are 1024x540."
            )

    def draw() -> dict[str, Any]:
        lengths = {}
        for truth in truths:
            name, official = truth.name, official_sequences().get(truth.name, Sequence(truth.name, "unknown"))
            last = max(official.frames or 0, truth.length, int(truth.ignore_frame.max(initial=1)))
            lengths[name] = min(last, frames or last)
            for path in filter(Path.is_file, (whole_path(folder, name), ignore_path(folder, name))):
                _copy_rows(path, root / TRUTH / path.name, frames)
            night = "night" in official.attributes.get("weather", ())
            clip = TruthClip(generator(seed, "from-gt", name), truth, height, width, night)
            draw_all(partial(_draw_frame, root, clip), range(1, lengths[name] + 1))
            print(f"{root}: {name}, {lengths[name]} frames", flush=True)
        return {"sequences": lengths}

    digests = {name: sha256_of_file(whole_path(folder, name)) for name in names}
    parameters = {"ground_truth": digests, "frames": frames, "height": height, "width": width}
    return fill_folder(root, "uavdt", seed, parameters, FOLDERS, draw, NAME)


def _draw_frame(root: Path, clip: "TruthClip", number: int) -> None:
    write_jpeg(frame_path(root, clip.truth.name, number), clip.frame(number))


def _copy_rows(source: Path, target: Path, frames: int | None) -> None:
    """Copy a ground-truth file, of the first `frames` frames only where that is given."""
    lines = source.read_bytes().splitlines(keepends=True)
    if frames is not None:
        lines = [line for line in lines if line.strip() and float(line.split(b",")[0]) <= frames]
    write_bytes(target, b"".join(lines))


class TruthClip:
    """Frames for one sequence's ground truth. Every vehicle's outline touches the four sides of its box."""

    def __init__(self, rng: np.random.Generator, truth: SequenceTruth, height: int, width: int, night: bool = False):
        """Draw what stays the same in all frames (height, width): the ground, one look per track, parked cars, a tree."""
        self.truth, self.night = truth, night
        self.seed = int(rng.integers(1 << 31))
        self.ground = draw_ground(rng, _road_under(truth.box, height, width))
        self.heading = track_headings(truth)
        self.looks: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for target, category in zip(truth.target.tolist(), truth.category.tolist()):
            if target not in self.looks:
                self.looks[target] = draw_vehicle(rng, category)
        patch, alpha = draw_crown(rng)
        x, y, w, h = cv2.boundingRect(alpha)
        self.crown = patch[y : y + h, x : x + w], alpha[y : y + h, x : x + w]
        self.parked = np.full((96, 160, 3), ASPHALT, np.uint8)
        fill_car_park(rng, self.parked, (0, 0, 160, 96), car=34)

    def frame(self, number: int) -> np.ndarray:
        """Return frame `number` (from 1), (height, width, 3) uint8 BGR."""
        truth, canvas = self.truth, Canvas.on(self.ground.copy())
        whole = np.full(self.parked.shape[:2], 255, np.uint8)
        for box in truth.ignore_box[truth.ignore_frame == number]:
            canvas.paste(self.parked, whole, stretch(box, 0.0, self.parked.shape), 0)
        rows = np.flatnonzero(truth.frame == number)
        placed = []
        for row in rows[np.argsort(truth.box[rows, 1] + truth.box[rows, 3])]:  # nearer ones last
            box, target = truth.box[row], int(truth.target[row])
            patch, alpha = self.looks[target]
            matrix = fit(box, self.heading[row], SIZES[int(truth.category[row])], patch.shape)
            canvas.paste(patch, alpha, matrix, target, shadow=0.4)
            placed.append((patch.shape, matrix))
            if share := HIDDEN_SHARE[int(truth.occlusion[row])]:
                # Always from the same side of a track, so that the tree does not flicker; a little larger than the
                # hidden part, because it is round.
                left = box[0] - 0.1 * box[2] if target % 2 else box[0] + (1.1 - 1.2 * share) * box[2]
                part = (left, box[1] - 0.15 * box[3], 1.2 * share * box[2], 1.3 * box[3])
                canvas.paste(*self.crown, stretch(part, 0.0, self.crown[0].shape), 0)
        return photograph(canvas.image, [self.seed, number], placed if self.night else None)


def fit(box: np.ndarray, heading: np.ndarray, size: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    """Return the (2, 3) map that puts a vehicle's patch into a box so that its corners touch all four sides.

    A rectangle whose width is r times its length L, turned by t, spans L (|cos t| + r |sin t|) times
    L (|sin t| + r |cos t|). Solved for L and t; a box too narrow for any turn gets a stretched patch along its
    longer side.

    Args:
        box: left, top, width, height in pixels.
        heading: (2,) the direction of motion, which decides between t, -t and the two opposite ones.
        size: length and width of the vehicle, in any unit.
        shape: of the patch, which points to the right.
    """
    left, top, width, height = box
    ratio = size[1] / size[0]
    along_x, along_y = (width - ratio * height) / (1 - ratio**2), (height - ratio * width) / (1 - ratio**2)
    if along_x <= 0 or along_y <= 0:
        turned = height > width
        angle = np.arctan2(1.0 if heading[1] >= 0 else -1.0, 0) if turned else (0.0 if heading[0] >= 0 else np.pi)
        return stretch(box, angle, shape)
    x = along_x if heading[0] >= 0 else -along_x
    y = along_y if heading[1] >= 0 else -along_y
    # Columns: one patch pixel along the vehicle, one across it.
    linear = np.array([[x, -ratio * y], [y, ratio * x]]) / (shape[1], shape[0])
    return centered(linear, (left + width / 2 - 0.5, top + height / 2 - 0.5), shape)


def stretch(box: np.ndarray | tuple[float, ...], angle: float, shape: tuple[int, ...]) -> np.ndarray:
    """Return the (2, 3) map that turns a patch by a multiple of a right angle and stretches it to a box."""
    left, top, width, height = box
    cosine, sine = round(np.cos(angle)), round(np.sin(angle))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    linear = turn * (np.array([width, height]) / (np.abs(turn) @ (shape[1], shape[0])))[:, None]
    return centered(linear, (left + width / 2 - 0.5, top + height / 2 - 0.5), shape)


def track_headings(truth: SequenceTruth) -> np.ndarray:
    """Return the direction of motion of each box, (n, 2): its track's displacement over `SMOOTHING` frames around it."""
    center = truth.box[:, :2] + truth.box[:, 2:] / 2
    heading = np.zeros_like(center)
    for target in np.unique(truth.target):
        rows = np.flatnonzero(truth.target == target)
        rows = rows[np.argsort(truth.frame[rows])]
        index = np.arange(len(rows))
        before, after = np.maximum(index - SMOOTHING, 0), np.minimum(index + SMOOTHING, len(rows) - 1)
        heading[rows] = center[rows[after]] - center[rows[before]]
        # A vehicle that waits keeps the direction of its whole track.
        waits = np.abs(heading[rows]).max(axis=1) < 2
        heading[rows[waits]] = center[rows[-1]] - center[rows[0]]
    return heading


def _road_under(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return where asphalt is, (height, width) float32 in 0..1: wherever boxes often are, and around them."""
    visits = np.zeros((height + 1, width + 1), np.float32)
    start, size = boxes[:, :2], boxes[:, 2:]
    (left, top), (right, bottom) = (np.clip(edge, 0, (width, height)).astype(int).T for edge in (start, start + size))
    # The sum of boxes is the double running sum of their corners.
    for y, x, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(visits, (y, x), sign)
    covered = visits.cumsum(axis=0).cumsum(axis=1)[:height, :width]
    spread = cv2.GaussianBlur((covered > 0.5).astype(np.float32), (0, 0), height / 40)
    return np.clip((spread - 0.1) * 6, 0, 1)
