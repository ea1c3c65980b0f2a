"""Traffic from above: a road under a bridge and trees, vehicles in lanes, a camera that drifts, day or night."""

from dataclasses import dataclass, field, replace
from itertools import count

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, corners, develop, transform
from eval.data.synthesize.road import LANE, Box, draw_bridge, draw_ground, draw_tree, fill_car_park, mark_lanes
from eval.data.synthesize.scene import Sway
from eval.data.synthesize.vehicle import BUS, CAR, SIZES, TRUCK, Sprite, draw_vehicle


@dataclass
class Frame:
    """One rendered frame: `image` (H, W, 3) uint8, ground-truth rows and ignore rows in UAVDT's column order."""

    image: np.ndarray
    rows: list[tuple[int, ...]] = field(default_factory=list)
    ignored: list[tuple[int, ...]] = field(default_factory=list)


class Traffic:
    """A ground larger than the frame with everything on it."""

    def __init__(
        self,
        rng: np.random.Generator,
        height: int,
        width: int,
        frames: int,
        car: float = 0.14,
        *,
        night: bool = False,
        quiet: bool = False,
        bridges: bool = True,
    ):
        """Plan a random clip of `frames` frames, (height, width) pixels.

        Args:
            rng: decides everything else.
            height: of a frame, pixels.
            width: likewise.
            frames: of the clip.
            car: a car's length as a share of the height, more or less; the default follows the benchmark's closer views.
            night: with lamps.
            quiet: begins with empty roads.
            bridges: half of the clips have one.
        """
        self.height, self.width, self.night = height, width, night
        car = car * (height * rng.uniform(0.12, 0.165)) / 0.14
        diagonal = float(np.hypot(height, width))
        side = int(1.25 * diagonal)
        middle = side / 2
        lanes = int(rng.integers(1, 4))
        half = (lanes + 0.3) * LANE * car
        road = np.zeros((side, side), np.float32)
        road[int(middle - half) : int(middle + half)] = 1
        crossing = middle + rng.uniform(-0.3, 0.3) * height
        self.car_park = _car_park(rng, crossing, middle, half, car)
        left, top, w, h = (int(value) for value in self.car_park)
        road[top : top + h, left : left + w] = 0.8
        self.ground = draw_ground(rng, road)
        mark_lanes(self.ground, middle, lanes, car)
        fill_car_park(rng, self.ground, self.car_park, car)

        margin = diagonal / 2 if quiet else -side
        sprites = []  # from the lowest to the highest
        for lane in range(-lanes, lanes):
            heading = 0.0 if lane >= 0 else np.pi
            sprites += _draw_lane(rng, middle + (lane + 0.5) * LANE * car, heading, side, frames, car, margin)
        if rng.random() < 0.5 and bridges:
            sprites.append(draw_bridge(crossing, side, car))
            for place, heading in ((-0.5, np.pi / 2), (0.5, -np.pi / 2)):
                sprites += _draw_lane(rng, crossing + place * LANE * car, heading, side, frames, car, margin)
        targets = count(1)
        self.sprites = [replace(sprite, target=next(targets)) if sprite.category else sprite for sprite in sprites]
        self.sprites += [draw_tree(rng, middle, half, side, car) for _ in range(rng.integers(6, 14))]
        self.camera = (  # center x, y, angle, zoom
            Sway(middle, 0.1 * height, rng.uniform(80, 160), rng.uniform(0, 6.3)),
            Sway(middle, 0.1 * height, rng.uniform(80, 160), rng.uniform(0, 6.3)),
            Sway(rng.uniform(-0.6, 0.6) + rng.integers(2) * np.pi / 2, 0.03, 90, rng.uniform(0, 6.3)),
            Sway(1.0, 0.05, 110, rng.uniform(0, 6.3)),
        )
        self.seed = int(rng.integers(1 << 31))

    def frame(self, number: int) -> Frame:
        """Render frame `number` (from 1) with its ground truth."""
        x, y, angle, zoom = (sway.at(number - 1) for sway in self.camera)
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        camera = np.column_stack([turn, np.array([self.width / 2, self.height / 2]) - turn @ (x, y)])
        canvas = Canvas.window(self.ground, camera, self.height, self.width)
        placed = [(sprite, *sprite.paste(canvas, number - 1, camera)) for sprite in self.sprites]
        vehicles = [(sprite, matrix, pixels) for sprite, matrix, pixels in placed if sprite.target]
        lamps = [(sprite.patch.shape, matrix) for sprite, matrix, _ in vehicles] if self.night else None
        frame = Frame(photograph(canvas.image, [self.seed, number], lamps))
        seen = np.bincount(canvas.labels.ravel(), minlength=len(vehicles) + 1)
        for vehicle, matrix, pixels in vehicles:
            box, inside = clipped_box(patch_corners(vehicle.patch.shape, matrix), self.height, self.width)
            if box is None or not pixels:
                continue
            visible = seen[vehicle.target] / pixels
            if inside <= 0.5:
                # Like the annotators of UAVDT, give no box to a vehicle that is more than half out of the picture.
                frame.ignored.append((number, vehicle.target, *box, 1, -1, -1))
            elif visible > 0.05:
                flags = (out_of_view(1 - inside), occlusion(1 - visible), vehicle.category)
                frame.rows.append((number, vehicle.target, *box, *flags))
        box, _ = clipped_box(transform(camera, corners(*self.car_park)), self.height, self.width)
        if box is not None:
            frame.ignored.append((number, len(vehicles) + 1, *box, 1, -1, -1))
        return frame


def _car_park(rng: np.random.Generator, crossing: float, middle: float, half: float, car: float) -> Box:
    """Return the place of a car park beside the road, away from the bridge's x."""
    width, height = 4.4 * car, 2.6 * car
    left = crossing + 1.6 * car if rng.random() < 0.5 else crossing - 1.6 * car - width
    top = middle + half + 0.3 * car if rng.random() < 0.5 else middle - half - 0.3 * car - height
    return left, top, width, height


def _draw_lane(
    rng: np.random.Generator, across: float, heading: float, side: int, frames: int, car: float, margin: float
) -> list[Sprite]:
    """Return the vehicles of one lane, all at one speed; `margin` keeps the ground's middle free at the start."""
    vertical = abs(np.sin(heading)) > 0.5
    sign = np.sign(np.sin(heading) if vertical else np.cos(heading))
    speed = car * rng.uniform(0.08, 0.2)
    vehicles = []
    along = -side / 2 - speed * frames + car * rng.uniform(0, 3)  # along the heading, from the ground's middle
    while along < min(side / 2, -margin):
        category = int(rng.choice([CAR, TRUCK, BUS], p=[0.7, 0.17, 0.13]))
        length = SIZES[category][0]
        along += 0.5 * length * car
        position = side / 2 + sign * along
        start = (across, position) if vertical else (position, across)
        patch, alpha = draw_vehicle(rng, category)
        scale = car * length / patch.shape[1]
        vehicles.append(Sprite(patch, alpha, start, heading, scale, speed, category=category))
        along += (0.5 * length + rng.uniform(0.8, 4.5)) * car
    return vehicles


def out_of_view(share: float) -> int:
    """Return UAVDT's out-of-view code (1 none, 2 medium, 3 small) of the share outside the frame, at most a half."""
    return 1 if share < 0.01 else 3 if share < 0.3 else 2


def occlusion(share: float) -> int:
    """Return UAVDT's occlusion code (1 none, 2 large, 3 medium, 4 small) of the hidden share."""
    return 1 if share < 0.01 else 4 if share < 0.3 else 3 if share < 0.7 else 2


def patch_corners(shape: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """Return the (4, 2) corners of a patch's pixels in the frame, as coordinates with pixel borders at integers."""
    return transform(matrix, corners(0, 0, shape[1], shape[0]) - 0.5) + 0.5


def clipped_box(quadrilateral: np.ndarray, height: int, width: int) -> tuple[tuple[int, int, int, int] | None, float]:
    """Return the box (left, top, width, height) of a quadrilateral inside the frame and the share of its area there.

    The box is None where less than 3 pixels of width or height are inside.
    """
    whole = quadrilateral.astype(np.float32)
    area, inner = cv2.intersectConvexConvex(whole, corners(0, 0, width, height).astype(np.float32))
    if area <= 0 or inner is None:
        return None, 0.0
    inner = inner.reshape(-1, 2)
    left, top = np.floor(inner.min(0) + 0.01).astype(int).tolist()
    right, bottom = np.ceil(inner.max(0) - 0.01).astype(int).tolist()
    share = min(1.0, area / cv2.contourArea(whole))
    if right - left < 3 or bottom - top < 3:
        return None, share
    return (left, top, right - left, bottom - top), share


def photograph(
    image: np.ndarray, seed: list[int], lamps: list[tuple[tuple[int, ...], np.ndarray]] | None
) -> np.ndarray:
    """Return the picture (H, W, 3) uint8 as a camera takes it by day, or by night with light before the vehicles.

    Args:
        image: (H, W, 3) uint8 in full light.
        seed: of the noise.
        lamps: by night, the shape of each vehicle's patch and its map to the frame; None by day.
    """
    rng = np.random.default_rng(seed)
    if lamps is None:
        return develop(image, rng, np.ones(3))
    height, width = image.shape[:2]
    beams = np.zeros((height // 2 + 1, width // 2 + 1), np.float32)
    for (h, w, *_), matrix in lamps:
        cone = np.array([(w - 6, 0.2 * h), (w + 60, -0.5 * h), (w + 60, 1.5 * h), (w - 6, 0.8 * h)])
        cv2.fillConvexPoly(beams, np.round(transform(matrix, cone) / 2).astype(np.int32), 1.0)
    light = cv2.resize(cv2.GaussianBlur(beams, (0, 0), height / 80), (width, height))[..., None]
    gain = np.array([0.46, 0.37, 0.34], np.float32) + light * np.array([0.5, 0.62, 0.68], np.float32)
    return develop(image, rng, gain, noise=12)
