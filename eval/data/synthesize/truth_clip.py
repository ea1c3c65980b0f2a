"""A clip drawn around given ground truth: a road where the boxes are, a vehicle in each, parked cars in ignore regions."""

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, develop
from eval.data.synthesize.road import draw_crown, fill_car_park
from eval.data.synthesize.traffic import ASPHALT, draw_ground, night_gain
from eval.data.synthesize.vehicle import SIZES, draw_vehicle
from eval.uavdt.files import SequenceTruth

HIDDEN_SHARE = {1: 0.0, 2: 0.85, 3: 0.5, 4: 0.15}  # of a box, by UAVDT's occlusion code: none, large, medium, small
SMOOTHING = 15  # frames over which a track's direction is taken


class TruthClip:
    """Frames for one sequence's ground truth. Every vehicle's outline touches the four sides of its box."""

    def __init__(self, rng: np.random.Generator, truth: SequenceTruth, height: int, width: int, night: bool = False):
        """Draw what stays the same in all frames: the ground, one look a track, parked cars, one tree crown.

        Args:
            rng: decides the looks.
            truth: boxes in pixels of a (height, width) frame.
            height: of the frames.
            width: of the frames.
            night: draw in the dark.
        """
        self.truth, self.height, self.width, self.night = truth, height, width, night
        self.seed = int(rng.integers(1 << 31))
        self.ground = draw_ground(rng, _road_under(truth.box, height, width))
        self.heading = track_headings(truth)
        looks = {}
        for target, category in zip(truth.target.tolist(), truth.category.tolist()):
            if target not in looks:
                looks[target] = draw_vehicle(rng, category)
        self.looks = looks
        patch, alpha = draw_crown(rng)
        x, y, w, h = cv2.boundingRect(alpha)
        self.crown = patch[y : y + h, x : x + w], alpha[y : y + h, x : x + w]
        self.parked = np.full((96, 160, 3), ASPHALT, np.uint8)
        fill_car_park(rng, self.parked, (0, 0, 160, 96), car=34)

    def frame(self, number: int) -> np.ndarray:
        """Return frame `number` (from 1), (height, width, 3) uint8 BGR."""
        truth = self.truth
        canvas = Canvas.on(self.ground.copy())
        whole = np.full(self.parked.shape[:2], 255, np.uint8)
        for box in truth.ignore_box[truth.ignore_frame == number]:
            canvas.paste(self.parked, whole, stretch(box, 0.0, self.parked.shape), 0)
        rows = np.flatnonzero(truth.frame == number)
        rows = rows[np.argsort(truth.box[rows, 1] + truth.box[rows, 3])]  # nearer ones last
        placed = []
        for row in rows:
            box, target = truth.box[row], int(truth.target[row])
            patch, alpha = self.looks[target]
            matrix = fit(box, self.heading[row], SIZES[int(truth.category[row])], patch.shape)
            canvas.paste(patch, alpha, matrix, target, shadow=0.4)
            placed.append((patch.shape, matrix))
            share = HIDDEN_SHARE[int(truth.occlusion[row])]
            if share:
                # Always from the same side of a track, so that the tree does not flicker; a little larger than the
                # hidden part, because it is round.
                left = box[0] - 0.1 * box[2] if target % 2 else box[0] + (1.1 - 1.2 * share) * box[2]
                part = (left, box[1] - 0.15 * box[3], 1.2 * share * box[2], 1.3 * box[3])
                canvas.paste(*self.crown, stretch(part, 0.0, self.crown[0].shape), 0)
        gain = night_gain(placed, self.height, self.width) if self.night else np.ones(3)
        rng = np.random.default_rng([self.seed, number])
        return develop(canvas.image, rng, gain, noise=12 if self.night else 5)


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
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    return np.column_stack([linear, (left + width / 2 - 0.5, top + height / 2 - 0.5) - linear @ middle])


def stretch(box: np.ndarray | tuple[float, ...], angle: float, shape: tuple[int, ...]) -> np.ndarray:
    """Return the (2, 3) map that turns a patch by a multiple of a right angle and stretches it to a box."""
    left, top, width, height = box
    cosine, sine = round(np.cos(angle)), round(np.sin(angle))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    spans = np.abs(turn) @ (shape[1], shape[0])
    linear = turn * (np.array([width, height]) / spans)[:, None]
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    return np.column_stack([linear, (left + width / 2 - 0.5, top + height / 2 - 0.5) - linear @ middle])


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
    left, top = np.clip(boxes[:, 0], 0, width).astype(int), np.clip(boxes[:, 1], 0, height).astype(int)
    right = np.clip(boxes[:, 0] + boxes[:, 2], 0, width).astype(int)
    bottom = np.clip(boxes[:, 1] + boxes[:, 3], 0, height).astype(int)
    # The sum of boxes is the double running sum of their corners.
    for y, x, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(visits, (y, x), sign)
    covered = visits.cumsum(axis=0).cumsum(axis=1)[:height, :width]
    spread = cv2.GaussianBlur((covered > 0.5).astype(np.float32), (0, 0), height / 40)
    return np.clip((spread - 0.1) * 6, 0, 1)
