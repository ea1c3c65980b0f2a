"""Traffic from above: a road under a bridge and trees, vehicles in lanes, a camera that drifts, day or night."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, develop, placement
from eval.data.synthesize.scene import Sway
from eval.data.synthesize.texture import cloud_noise
from eval.data.synthesize.vehicle import SIZES

ASPHALT, GRASS, CONCRETE = (92, 88, 86), (62, 104, 84), (150, 152, 150)  # BGR
LANE = 0.8  # car lengths


@dataclass(frozen=True)
class Vehicle:
    """A vehicle on a straight lane of the ground; lengths in pixels of the ground, speed in pixels a frame."""

    target: int
    category: int
    start: tuple[float, float]
    heading: float
    speed: float
    car_length: float
    patch: np.ndarray
    alpha: np.ndarray

    def matrix(self, time: float, camera: np.ndarray) -> np.ndarray:
        """Return the (2, 3) map from the patch to the frame."""
        traveled = self.speed * time
        center = (
            self.start[0] + traveled * np.cos(self.heading),
            self.start[1] + traveled * np.sin(self.heading),
        )
        scale = self.car_length * SIZES[self.category][0] / self.patch.shape[1]
        return compose(camera, placement(center, self.heading, scale, self.patch.shape))


@dataclass(frozen=True)
class Hider:
    """Something over the road: a tree or the bridge."""

    patch: np.ndarray
    alpha: np.ndarray
    center: tuple[float, float]
    angle: float = 0.0
    scale: float = 1.0

    def paste(self, canvas: Canvas, camera: np.ndarray) -> None:
        """Draw it with label 0."""
        own = placement(self.center, self.angle, self.scale, self.patch.shape)
        canvas.paste(self.patch, self.alpha, compose(camera, own), 0, shadow=0.4)


@dataclass
class Frame:
    """One rendered frame: `image` (H, W, 3) uint8, ground-truth rows and ignore rows in UAVDT's column order."""

    image: np.ndarray
    rows: list[tuple[int, ...]] = field(default_factory=list)
    ignored: list[tuple[int, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Traffic:
    """A ground larger than the frame with everything on it."""

    ground: np.ndarray
    below: tuple[Vehicle, ...]
    bridge: Hider | None
    above: tuple[Vehicle, ...]
    trees: tuple[Hider, ...]
    car_park: tuple[float, float, float, float]  # left, top, width, height on the ground
    camera: tuple[Sway, Sway, Sway, Sway]  # center x, y, angle, zoom
    height: int
    width: int
    night: bool
    seed: int

    def camera_matrix(self, time: float) -> np.ndarray:
        """Return the (2, 3) map from the ground to the frame."""
        x, y, angle, zoom = (sway.at(time) for sway in self.camera)
        linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.column_stack([linear, np.array([self.width / 2, self.height / 2]) - linear @ (x, y)])

    def frame(self, number: int) -> Frame:
        """Render frame `number` (from 1) with its ground truth."""
        camera = self.camera_matrix(number - 1)
        size = (self.width, self.height)
        canvas = Canvas.on(cv2.warpAffine(self.ground, camera, size, borderMode=cv2.BORDER_REFLECT))
        placed = [(vehicle, vehicle.matrix(number - 1, camera)) for vehicle in (*self.below, *self.above)]
        pixels = {}
        for vehicle, matrix in placed[: len(self.below)]:
            pixels[vehicle.target] = canvas.paste(vehicle.patch, vehicle.alpha, matrix, vehicle.target, shadow=0.4)
        if self.bridge:
            self.bridge.paste(canvas, camera)
        for vehicle, matrix in placed[len(self.below) :]:
            pixels[vehicle.target] = canvas.paste(vehicle.patch, vehicle.alpha, matrix, vehicle.target, shadow=0.4)
        for tree in self.trees:
            tree.paste(canvas, camera)
        gain = np.ones(3)
        if self.night:
            gain = night_gain([(vehicle.alpha.shape, matrix) for vehicle, matrix in placed], self.height, self.width)
        rng = np.random.default_rng([self.seed, number])
        frame = Frame(develop(canvas.image, rng, gain, noise=12 if self.night else 5))
        seen = np.bincount(canvas.labels.ravel(), minlength=len(placed) + 1)
        for vehicle, matrix in placed:
            corners = patch_corners(vehicle.patch.shape, matrix)
            box, inside = clipped_box(corners, self.height, self.width)
            if box is None or not pixels[vehicle.target]:
                continue
            visible = seen[vehicle.target] / pixels[vehicle.target]
            if inside <= 0.5:
                # Like the annotators of UAVDT, give no box to a vehicle that is more than half out of the picture.
                frame.ignored.append((number, vehicle.target, *box, 1, -1, -1))
            elif visible > 0.05:
                flags = (out_of_view(1 - inside), occlusion(1 - visible), vehicle.category)
                frame.rows.append((number, vehicle.target, *box, *flags))
        left, top, width, height = self.car_park
        corners = np.array([(left, top), (left + width, top), (left + width, top + height), (left, top + height)])
        box, _ = clipped_box(corners @ camera[:, :2].T + camera[:, 2], self.height, self.width)
        if box is not None:
            frame.ignored.append((number, len(placed) + 1, *box, 1, -1, -1))
        return frame


def out_of_view(share: float) -> int:
    """Return UAVDT's out-of-view code (1 none, 2 medium, 3 small) of the share outside the frame, at most a half."""
    return 1 if share < 0.01 else 3 if share < 0.3 else 2


def occlusion(share: float) -> int:
    """Return UAVDT's occlusion code (1 none, 2 large, 3 medium, 4 small) of the hidden share."""
    return 1 if share < 0.01 else 4 if share < 0.3 else 3 if share < 0.7 else 2


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the (2, 3) map that applies `inner` and then `outer`."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def patch_corners(shape: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """Return the (4, 2) corners of a patch's pixels in the frame, as coordinates with pixel borders at integers."""
    h, w = shape[:2]
    corners = np.array([(0, 0), (w, 0), (w, h), (0, h)]) - 0.5
    return corners @ matrix[:, :2].T + matrix[:, 2] + 0.5


def clipped_box(corners: np.ndarray, height: int, width: int) -> tuple[tuple[int, int, int, int] | None, float]:
    """Return the box (left, top, width, height) of a quadrilateral inside the frame and the share of its area there.

    The box is None where less than 3 pixels of width or height are inside.
    """
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    area, inner = cv2.intersectConvexConvex(corners.astype(np.float32), frame)
    if area <= 0 or inner is None:
        return None, 0.0
    inner = inner.reshape(-1, 2)
    left, top = np.floor(inner.min(0) + 0.01).astype(int)
    right, bottom = np.ceil(inner.max(0) - 0.01).astype(int)
    share = min(1.0, area / cv2.contourArea(corners.astype(np.float32)))
    if right - left < 3 or bottom - top < 3:
        return None, share
    return (int(left), int(top), int(right - left), int(bottom - top)), share


def night_gain(placed: list[tuple[tuple[int, ...], np.ndarray]], height: int, width: int) -> np.ndarray:
    """Return the (height, width, 3) float32 brightness of a night with light before the vehicles.

    `placed` has the shape of each vehicle's patch and its map to the frame.
    """
    beams = np.zeros((height // 2 + 1, width // 2 + 1), np.float32)
    for (h, w, *_), matrix in placed:
        cone = np.array([(w - 6, 0.2 * h), (w + 60, -0.5 * h), (w + 60, 1.5 * h), (w - 6, 0.8 * h)])
        points = (cone @ matrix[:, :2].T + matrix[:, 2]) / 2
        cv2.fillConvexPoly(beams, np.round(points).astype(np.int32), 1.0)
    light = cv2.resize(cv2.GaussianBlur(beams, (0, 0), height / 80), (width, height))[..., None]
    return np.array([0.46, 0.37, 0.34], np.float32) + light * np.array([0.5, 0.62, 0.68], np.float32)


def draw_ground(rng: np.random.Generator, road: np.ndarray) -> np.ndarray:
    """Return grass with asphalt where `road` (H, W) float32 in 0..1 says, (H, W, 3) uint8 BGR."""
    height, width = road.shape
    clumps = cloud_noise(rng, height, width, coarsest=6, octaves=4)[..., None]
    fine = cv2.resize(rng.random((height // 3, width // 3), np.float32), (width, height))[..., None]
    grass = np.array(GRASS, np.float32) * (0.65 + 0.5 * clumps + 0.25 * fine)
    asphalt = np.array(ASPHALT, np.float32) * (0.9 + 0.1 * clumps + 0.12 * fine)
    return np.clip(grass + (asphalt - grass) * road[..., None], 0, 255).astype(np.uint8)
