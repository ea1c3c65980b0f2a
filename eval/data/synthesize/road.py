"""The plan of a drawn traffic clip: where the road, the bridge, the trees, the car park and the vehicles are."""

from dataclasses import replace

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, placement
from eval.data.synthesize.scene import Sway
from eval.data.synthesize.shape import bend, draw_outline
from eval.data.synthesize.texture import cloud_noise
from eval.data.synthesize.traffic import CONCRETE, LANE, Hider, Traffic, Vehicle, draw_ground
from eval.data.synthesize.vehicle import BUS, CAR, SIZES, TRUCK, draw_vehicle

WHITE = (215, 215, 210)


def draw_traffic(
    rng: np.random.Generator, height: int, width: int, frames: int, night: bool = False, quiet: bool = False
) -> Traffic:
    """Return a random clip of `frames` frames, (height, width) pixels; `quiet` starts with empty roads.

    Sizes follow the benchmark's closer views: a car is a seventh of the frame's height, more or less.
    """
    car = height * rng.uniform(0.12, 0.165)
    diagonal = float(np.hypot(height, width))
    side = int(1.25 * diagonal)
    middle = side / 2
    lanes = int(rng.integers(1, 4))
    half = (lanes + 0.3) * LANE * car
    road = np.zeros((side, side), np.float32)
    road[int(middle - half) : int(middle + half)] = 1
    crossing = middle + rng.uniform(-0.3, 0.3) * height
    park = _car_park(rng, crossing, middle, half, car)
    left, top, w, h = (int(value) for value in park)
    road[top : top + h, left : left + w] = 0.8
    ground = draw_ground(rng, road)
    _mark_lanes(ground, middle, lanes, car)
    fill_car_park(rng, ground, park, car)

    margin = diagonal / 2 if quiet else -side
    below = []
    for lane in range(-lanes, lanes):
        heading = 0.0 if lane >= 0 else np.pi
        below += _draw_lane(rng, middle + (lane + 0.5) * LANE * car, heading, side, frames, car, margin)
    bridge, above = None, []
    if rng.random() < 0.5:
        bridge = _draw_bridge(crossing, side, car)
        for place, heading in ((-0.5, np.pi / 2), (0.5, -np.pi / 2)):
            above += _draw_lane(rng, crossing + place * LANE * car, heading, side, frames, car, margin)
    vehicles = [replace(vehicle, target=number) for number, vehicle in enumerate([*below, *above], start=1)]
    drift = 0.1 * height
    return Traffic(
        ground=ground,
        below=tuple(vehicles[: len(below)]),
        bridge=bridge,
        above=tuple(vehicles[len(below) :]),
        trees=tuple(_draw_tree(rng, middle, half, side, car) for _ in range(rng.integers(6, 14))),
        car_park=park,
        camera=(
            Sway(middle, drift, rng.uniform(80, 160), rng.uniform(0, 6.3)),
            Sway(middle, drift, rng.uniform(80, 160), rng.uniform(0, 6.3)),
            Sway(rng.uniform(-0.6, 0.6) + rng.integers(2) * np.pi / 2, 0.03, 90, rng.uniform(0, 6.3)),
            Sway(1.0, 0.05, 110, rng.uniform(0, 6.3)),
        ),
        height=height,
        width=width,
        night=night,
        seed=int(rng.integers(1 << 31)),
    )


def _draw_lane(
    rng: np.random.Generator, across: float, heading: float, side: int, frames: int, car: float, margin: float
) -> list[Vehicle]:
    """Return the vehicles of one lane, all at one speed; `margin` keeps the ground's middle free at the start."""
    vertical = abs(np.sin(heading)) > 0.5
    sign = np.sign(np.sin(heading) if vertical else np.cos(heading))
    speed = car * rng.uniform(0.08, 0.2)
    vehicles = []
    along = -side / 2 - speed * frames + car * rng.uniform(0, 3)  # along the heading, from the ground's middle
    while along < min(side / 2, -margin):
        category = int(rng.choice([CAR, TRUCK, BUS], p=[0.7, 0.17, 0.13]))
        along += 0.5 * SIZES[category][0] * car
        position = side / 2 + sign * along
        start = (across, position) if vertical else (position, across)
        vehicles.append(Vehicle(0, category, start, heading, speed, car, *draw_vehicle(rng, category)))
        along += (0.5 * SIZES[category][0] + rng.uniform(0.8, 4.5)) * car
    return vehicles


def _mark_lanes(ground: np.ndarray, middle: float, lanes: int, car: float) -> None:
    """Paint the lane lines of the road."""
    width = ground.shape[1]
    thick = max(1, round(car / 20))
    for lane in range(-lanes, lanes + 1):
        y = round(middle + lane * LANE * car)
        if lane in (-lanes, 0, lanes):
            cv2.line(ground, (0, y), (width, y), WHITE, thick)
            continue
        for x in range(0, width, max(2, round(car))):
            cv2.line(ground, (x, y), (x + round(car / 2), y), WHITE, thick)


def _car_park(
    rng: np.random.Generator, crossing: float, middle: float, half: float, car: float
) -> tuple[float, float, float, float]:
    """Return left, top, width and height of a car park beside the road, away from the bridge's x."""
    width, height = 4.4 * car, 2.6 * car
    left = crossing + 1.6 * car if rng.random() < 0.5 else crossing - 1.6 * car - width
    top = middle + half + 0.3 * car if rng.random() < 0.5 else middle - half - 0.3 * car - height
    return left, top, width, height


def fill_car_park(rng: np.random.Generator, ground: np.ndarray, park: tuple[float, ...], car: float) -> None:
    """Park two rows of cars; they are part of the ground, nobody annotates them."""
    left, top, width, height = park
    canvas = Canvas.on(ground)
    for row, y in enumerate((top + 0.65 * car, top + height - 0.65 * car)):
        for x in np.arange(left + 0.4 * car, left + width - 0.3 * car, 0.62 * car):
            if rng.random() < 0.75:
                patch, alpha = draw_vehicle(rng, CAR)
                heading = np.pi / 2 + np.pi * row
                canvas.paste(
                    patch, alpha, placement((float(x), y), heading, car / patch.shape[1], patch.shape), 0, shadow=0.4
                )


def _draw_bridge(x: float, side: int, car: float) -> Hider:
    """Return a concrete deck with two lanes that crosses over the road."""
    width = round(2.3 * LANE * car)
    deck = np.empty((side, width, 3), np.float32)
    deck[:] = CONCRETE
    deck *= 0.85 + 0.2 * cloud_noise(np.random.default_rng(0), side, width, coarsest=32)[..., None]
    rail = max(1, round(car / 14))
    deck[:, :rail] = deck[:, -rail:] = (190, 190, 190)
    deck[:, width // 2 - rail // 2 : width // 2 + rail // 2 + 1] = WHITE
    return Hider(deck.astype(np.uint8), np.full((side, width), 255, np.uint8), (x, side / 2))


def _draw_tree(rng: np.random.Generator, middle: float, half: float, side: int, car: float) -> Hider:
    """Return a tree beside the road that hangs a little over it."""
    patch, alpha = draw_crown(rng)
    y = middle + rng.choice([-1, 1]) * (half + rng.uniform(0.1, 1.6) * car)
    return Hider(patch, alpha, (rng.uniform(0.1, 0.9) * side, y), scale=car * rng.uniform(0.9, 1.7) / len(patch))


def draw_crown(rng: np.random.Generator, pixels: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Return patch (pixels, pixels, 3) uint8 BGR and coverage (pixels, pixels) uint8 of the crown of a tree."""
    outline = bend(draw_outline(rng, "blob"), rng.uniform(0, 6.3), 0.12)
    points = np.round((outline * 0.47 + 0.5) * pixels * 16).astype(np.int32)
    alpha = cv2.fillPoly(np.zeros((pixels, pixels), np.uint8), [points], 255, cv2.LINE_AA, shift=4)
    leaves = 0.35 + 0.9 * cloud_noise(rng, pixels, pixels, coarsest=10, octaves=3)[..., None]
    color = np.array([45, 95, 60], np.float32) * rng.uniform(0.7, 1.2) * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    return np.clip(color * leaves, 0, 255).astype(np.uint8), alpha
