"""What stands still in drawn traffic: the ground with its lanes and parked cars, the bridge and trees over it."""

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, fill_outline
from eval.data.synthesize.shape import bend, draw_outline
from eval.data.synthesize.texture import cloud_noise
from eval.data.synthesize.vehicle import CAR, Sprite, draw_vehicle

ASPHALT, GRASS, CONCRETE, WHITE = (92, 88, 86), (62, 104, 84), (150, 152, 150), (215, 215, 210)  # BGR
LANE = 0.8  # car lengths
CROWN = 96  # pixels of a tree's patch

Box = tuple[float, float, float, float]  # left, top, width, height


def draw_ground(rng: np.random.Generator, road: np.ndarray) -> np.ndarray:
    """Return grass with asphalt where `road` (H, W) float32 in 0..1 says, (H, W, 3) uint8 BGR."""
    height, width = road.shape
    clumps = cloud_noise(rng, height, width, coarsest=6, octaves=4)[..., None]
    fine = cv2.resize(rng.random((height // 3, width // 3), np.float32), (width, height))[..., None]
    grass = np.array(GRASS, np.float32) * (0.65 + 0.5 * clumps + 0.25 * fine)
    asphalt = np.array(ASPHALT, np.float32) * (0.9 + 0.1 * clumps + 0.12 * fine)
    return np.clip(grass + (asphalt - grass) * road[..., None], 0, 255).astype(np.uint8)


def mark_lanes(ground: np.ndarray, middle: float, lanes: int, car: float) -> None:
    """Paint the lane lines of a road with so many lanes in each direction; lengths in pixels."""
    width, thick = ground.shape[1], max(1, round(car / 20))
    for lane in range(-lanes, lanes + 1):
        y = round(middle + lane * LANE * car)
        solid = lane in (-lanes, 0, lanes)
        for x in [0] if solid else range(0, width, max(2, round(car))):
            cv2.line(ground, (x, y), (width if solid else x + round(car / 2), y), WHITE, thick)


def fill_car_park(rng: np.random.Generator, ground: np.ndarray, park: Box, car: float) -> None:
    """Park two rows of cars; they are part of the ground, nobody annotates them."""
    left, top, width, height = park
    canvas = Canvas.on(ground)
    for row, y in enumerate((top + 0.65 * car, top + height - 0.65 * car)):
        for x in np.arange(left + 0.4 * car, left + width - 0.3 * car, 0.62 * car).tolist():
            if rng.random() < 0.75:
                patch, alpha = draw_vehicle(rng, CAR)
                Sprite(patch, alpha, (x, y), np.pi / 2 + np.pi * row, car / patch.shape[1]).paste(canvas)


def draw_bridge(x: float, side: int, car: float) -> Sprite:
    """Return a concrete deck with two lanes that crosses over the road."""
    width, rail = round(2.3 * LANE * car), max(1, round(car / 14))
    cloud = cloud_noise(np.random.default_rng(0), side, width, coarsest=32)[..., None]
    deck = np.array(CONCRETE, np.float32) * (0.85 + 0.2 * cloud)
    deck[:, :rail] = deck[:, -rail:] = (190, 190, 190)
    deck[:, width // 2 - rail // 2 : width // 2 + rail // 2 + 1] = WHITE
    return Sprite(deck.astype(np.uint8), np.full((side, width), 255, np.uint8), (x, side / 2))


def draw_tree(rng: np.random.Generator, middle: float, half: float, side: int, car: float) -> Sprite:
    """Return a tree that hangs a little over a road, whose half width is given."""
    patch, alpha = draw_crown(rng)
    y = middle + rng.choice([-1, 1]) * (half + rng.uniform(0.1, 1.6) * car)
    return Sprite(patch, alpha, (rng.uniform(0.1, 0.9) * side, y), scale=car * rng.uniform(0.9, 1.7) / len(patch))


def draw_crown(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return patch (96, 96, 3) uint8 BGR and coverage (96, 96) uint8 of the crown of a tree."""
    outline = bend(draw_outline(rng, "blob"), rng.uniform(0, 6.3), 0.12)
    alpha = fill_outline((outline * 0.47 + 0.5) * CROWN, CROWN)
    leaves = 0.35 + 0.9 * cloud_noise(rng, CROWN, CROWN, coarsest=10, octaves=3)[..., None]
    color = np.array([45, 95, 60], np.float32) * rng.uniform(0.7, 1.2) * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    return np.clip(color * leaves, 0, 255).astype(np.uint8), alpha
