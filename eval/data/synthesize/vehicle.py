"""Cars, trucks and buses from above: patches that point to the right, and sprites that drive over the ground."""

from dataclasses import dataclass

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, placement
from eval.data.synthesize.texture import cloud_noise

# Category (docs/protocols.md, "UAVDT") -> length and width in car lengths.
SIZES = {1: (1.0, 0.46), 2: (1.75, 0.52), 3: (2.4, 0.56)}
CAR, TRUCK, BUS = SIZES
PIXELS = 64  # of the patch to a car length

_PAINTS = {  # BGR
    CAR: [(225, 225, 225), (150, 150, 155), (60, 60, 62), (60, 50, 190), (170, 90, 40), (70, 110, 60), (90, 170, 205)],
    TRUCK: [(200, 205, 205), (150, 100, 60), (70, 120, 150), (95, 130, 95)],
    BUS: [(40, 175, 235), (60, 60, 205), (190, 140, 50), (90, 190, 110)],
}


@dataclass(frozen=True)
class Sprite:
    """A vehicle on a straight lane of the ground, or what hides one (target 0): a tree or the bridge, which stay.

    Positions are in pixels of the ground, the speed in pixels per frame along `angle`.
    """

    patch: np.ndarray
    alpha: np.ndarray
    start: tuple[float, float]
    angle: float = 0.0
    scale: float = 1.0
    speed: float = 0.0
    target: int = 0
    category: int = 0

    def paste(self, canvas: Canvas, time: float = 0, camera: np.ndarray | None = None) -> tuple[np.ndarray, int]:
        """Paste it as seen by a camera, a (2, 3) map from the ground; returns its own map, and its pixels in the frame."""
        traveled = self.speed * time
        center = (self.start[0] + traveled * np.cos(self.angle), self.start[1] + traveled * np.sin(self.angle))
        matrix = placement(center, self.angle, self.scale, self.patch.shape)
        if camera is not None:
            matrix = np.column_stack([camera[:, :2] @ matrix[:, :2], camera[:, :2] @ matrix[:, 2] + camera[:, 2]])
        return matrix, canvas.paste(self.patch, self.alpha, matrix, self.target, shadow=0.4)


def draw_vehicle(rng: np.random.Generator, category: int) -> tuple[np.ndarray, np.ndarray]:
    """Return patch (h, w, 3) uint8 BGR and coverage (h, w) uint8 of a vehicle seen from above, front to the right."""
    length, width = (round(side * PIXELS) for side in SIZES[category])
    paint = np.array(_PAINTS[category][rng.integers(len(_PAINTS[category]))]) * rng.uniform(0.85, 1.1)
    patch = np.full((width, length, 3), np.clip(paint, 0, 255), np.uint8)
    {CAR: _draw_car, TRUCK: _draw_truck, BUS: _draw_bus}[category](rng, patch, paint)
    for y in (0.2, 0.8):  # headlights and tail lights
        cv2.circle(patch, (length - 3, round(y * width)), 3, (235, 250, 255), cv2.FILLED)
        cv2.circle(patch, (2, round(y * width)), 2, (40, 40, 200), cv2.FILLED)
    gloss = 0.85 + 0.3 * cloud_noise(rng, width, length, octaves=2)[..., None]
    corner = round((0.16 if category == CAR else 0.05) * PIXELS)
    alpha = np.zeros((width, length), np.uint8)
    cv2.rectangle(alpha, (corner, 0), (length - 1 - corner, width - 1), 255, cv2.FILLED)
    cv2.rectangle(alpha, (0, corner), (length - 1, width - 1 - corner), 255, cv2.FILLED)
    for x in (corner, length - 1 - corner):
        for y in (corner, width - 1 - corner):
            cv2.circle(alpha, (x, y), corner, 255, cv2.FILLED)
    return np.clip(patch * gloss, 0, 255).astype(np.uint8), alpha


def _box(patch: np.ndarray, x: tuple[float, float], y: tuple[float, float], color: tuple | np.ndarray) -> None:
    """Fill a rectangle given in shares of the patch."""
    h, w = patch.shape[:2]
    color = tuple(float(np.clip(c, 0, 255)) for c in color)
    cv2.rectangle(patch, (round(x[0] * w), round(y[0] * h)), (round(x[1] * w), round(y[1] * h)), color, cv2.FILLED)


def _draw_car(rng: np.random.Generator, patch: np.ndarray, paint: np.ndarray) -> None:
    """Add windows around the roof."""
    glass = (55, 45, 35)
    front = rng.uniform(0.66, 0.72)
    _box(patch, (front - 0.12, front), (0.1, 0.9), glass)
    _box(patch, (0.16, 0.26), (0.14, 0.86), glass)
    _box(patch, (0.26, front - 0.12), (0.06, 0.94), glass)
    _box(patch, (0.26, front - 0.12), (0.16, 0.84), paint * 1.12)


def _draw_truck(rng: np.random.Generator, patch: np.ndarray, paint: np.ndarray) -> None:
    """Add a cab and a ribbed load."""
    _box(patch, (0, 1), (0, 1), (45, 45, 45))
    _box(patch, (0.78, 1), (0.06, 0.94), np.array([(60, 60, 190), (190, 110, 50), (70, 150, 190)][rng.integers(3)]))
    _box(patch, (0.88, 0.94), (0.12, 0.88), (50, 40, 30))
    _box(patch, (0, 0.74), (0, 1), paint)
    for x in np.arange(0.06, 0.72, 0.09).tolist():
        _box(patch, (x, x + 0.03), (0.04, 0.96), paint * 0.7)


def _draw_bus(rng: np.random.Generator, patch: np.ndarray, paint: np.ndarray) -> None:
    """Add a windscreen, pale hatches along the roof and dark sides."""
    _box(patch, (0, 1), (0, 0.08), paint * 0.5)
    _box(patch, (0, 1), (0.92, 1), paint * 0.5)
    _box(patch, (0.95, 0.985), (0.08, 0.92), (50, 40, 30))
    for x in (0.12, 0.42, 0.7):
        x += rng.uniform(-0.03, 0.03)
        _box(patch, (x, x + 0.13), (0.28, 0.72), (225, 225, 220))
        _box(patch, (x + 0.02, x + 0.11), (0.36, 0.64), (165, 165, 160))
