"""Scenes of textured objects that move, turn, swell, bend and pass in front of each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, develop, placement
from eval.data.synthesize.shape import SHAPES, bend, draw_outline
from eval.data.synthesize.texture import TEXTURES, cloud_noise, draw_texture

PATCH_SIDES = (64, 128)  # pixels a side of an object's own texture, for small and large objects


@dataclass(frozen=True)
class Sway:
    """A value that swings: `middle + reach * sin(2 pi (time / period) + phase)`, time in frames."""

    middle: float
    reach: float
    period: float
    phase: float

    def at(self, time: float) -> float:
        """Return the value at a time."""
        return self.middle + self.reach * np.sin(2 * np.pi * time / self.period + self.phase)


@dataclass(frozen=True)
class Thing:
    """One object: its look and its motion. Positions and the radius are in pixels, angles in radians."""

    shape: str
    outline: np.ndarray
    texture: np.ndarray
    x: Sway
    y: Sway
    radius: Sway
    angle: Sway
    suppleness: float
    label: int

    def alpha(self, time: float) -> np.ndarray:
        """Return the coverage of the bent outline at a time, uint8, as large as the texture."""
        outline = bend(self.outline, time * 0.25 + self.x.phase, self.suppleness)
        points = np.round((outline * 0.48 + 0.5) * (len(self.texture) - 1) * 16).astype(np.int32)
        return cv2.fillPoly(np.zeros(self.texture.shape[:2], np.uint8), [points], 255, cv2.LINE_AA, shift=4)

    def draw(self, canvas: Canvas, time: float, offset: tuple[float, float]) -> int:
        """Paste the object at a time, seen from a camera at `offset`; returns its pixels inside the frame."""
        center = (self.x.at(time) - offset[0], self.y.at(time) - offset[1])
        scale = 2 * self.radius.at(time) / (0.96 * len(self.texture))
        matrix = placement(center, self.angle.at(time), scale, self.texture.shape)
        return canvas.paste(self.texture, self.alpha(time), matrix, self.label, shadow=0.35)


@dataclass(frozen=True)
class View:
    """A rendered frame: `image` (H, W, 3) uint8 BGR, `labels` (H, W) uint16, and each label's pixels if nothing hid it."""

    image: np.ndarray
    labels: np.ndarray
    unhidden: dict[int, int]

    def visible_share(self, label: int) -> float:
        """Return the share of a label's pixels inside the frame that nothing covers; 0 if it is out of view."""
        whole = self.unhidden.get(label, 0)
        return float(np.count_nonzero(self.labels == label)) / whole if whole else 0.0


@dataclass(frozen=True)
class Scene:
    """A background wider than the frame, a camera that sways over it, and things back to front."""

    background: np.ndarray
    things: tuple[Thing, ...]
    camera: tuple[Sway, Sway]
    height: int
    width: int
    light: tuple[Sway, Sway, Sway]  # brightness of blue, green, red
    seed: int

    def view(self, time: float = 0) -> View:
        """Render the frame at a time (in frames)."""
        margin_y, margin_x = (np.array(self.background.shape[:2]) - (self.height, self.width)) / 2
        offset = (self.camera[0].at(time), self.camera[1].at(time))
        window = np.array([[1, 0, -margin_x - offset[0]], [0, 1, -margin_y - offset[1]]], np.float64)
        canvas = Canvas.on(
            cv2.warpAffine(self.background, window, (self.width, self.height), borderMode=cv2.BORDER_REFLECT)
        )
        unhidden = {thing.label: thing.draw(canvas, time, offset) for thing in self.things}
        rng = np.random.default_rng([self.seed, int(time)])
        image = develop(canvas.image, rng, np.array([sway.at(time) for sway in self.light]))
        return View(image, canvas.labels, unhidden)


def draw_background(
    rng: np.random.Generator, height: int, width: int, hues: Sequence[float] | None = None
) -> np.ndarray:
    """Return a muted background (height, width, 3) uint8: two textures in cloudy patches under uneven light.

    It is drawn at half size, which is four times as fast and softer than the objects before it.
    """
    h, w = height // 2 + 1, width // 2 + 1
    kinds = rng.choice(TEXTURES, 2)
    first, second = (draw_texture(rng, kind, h, w, _choose(rng, hues), muted=True) for kind in kinds)
    where = np.clip(8 * (cloud_noise(rng, h, w, coarsest=3) - 0.5) + 0.5, 0, 1)[..., None]
    light = 0.65 + 0.6 * cloud_noise(rng, h, w, coarsest=2, octaves=2)[..., None]
    mixed = np.clip((first * (1 - where) + second * where) * light, 0, 255).astype(np.uint8)
    return cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR)


def draw_thing(
    rng: np.random.Generator,
    label: int,
    center: tuple[float, float],
    radius: float,
    shape: str | None = None,
    texture: str | None = None,
    speed: float = 0,
    suppleness: float = 0,
    hues: Sequence[float] | None = None,
) -> Thing:
    """Return a random object.

    Args:
        rng: decides everything that is not given.
        label: at least 0; things with label 0 hide others and belong to the background.
        center: x, y in the frame at rest, pixels.
        radius: pixels.
        shape: one of `SHAPES`, None for any.
        texture: one of `TEXTURES`, None for any.
        speed: highest speed along each axis, pixels a frame.
        suppleness: how far the outline bends, as a share of the radius.
        hues: the colors to choose from (0..180 as in OpenCV), None for any.
    """
    shape = shape or str(rng.choice(SHAPES))
    texture = texture or str(rng.choice(TEXTURES))
    side = PATCH_SIDES[radius > 32]

    def sway(middle: float, top_speed: float) -> Sway:
        period = rng.uniform(30, 70)
        return Sway(middle, top_speed * period / (2 * np.pi), period, rng.uniform(0, 2 * np.pi))

    return Thing(
        shape=shape,
        outline=draw_outline(rng, shape),
        texture=_shaded(rng, draw_texture(rng, texture, side, side, _choose(rng, hues))),
        x=sway(center[0], speed * rng.uniform(0.5, 1)),
        y=sway(center[1], speed * rng.uniform(0.2, 0.6)),
        radius=sway(radius, radius * min(speed, 1) * rng.uniform(0, 0.015)),
        angle=sway(rng.uniform(0, 2 * np.pi), min(speed, 1) * rng.uniform(0, 0.08)),
        suppleness=suppleness,
        label=label,
    )


def draw_scene(
    rng: np.random.Generator,
    things: Sequence[Thing],
    height: int,
    width: int,
    speed: float = 0,
    hues: Sequence[float] | None = None,
    flicker: float = 0,
) -> Scene:
    """Return a scene of `things` (back to front) with its own background.

    The camera moves at `speed` at most; `flicker` is how far the brightness of each color swings, as a share of it.
    """
    brightness = rng.uniform(0.85, 1.1)
    period = rng.uniform(60, 120)
    reach = speed * period / (2 * np.pi)
    margin = int(np.ceil(reach)) + 2

    def light() -> Sway:
        return Sway(brightness, flicker, rng.uniform(12, 24), rng.uniform(0, 6.3))

    return Scene(
        background=draw_background(rng, height + 2 * margin, width + 2 * margin, hues),
        things=tuple(things),
        camera=(Sway(0, reach, period, rng.uniform(0, 6.3)), Sway(0, reach / 2, period, rng.uniform(0, 6.3))),
        height=height,
        width=width,
        light=(light(), light(), light()),
        seed=int(rng.integers(1 << 31)),
    )


def _shaded(rng: np.random.Generator, texture: np.ndarray) -> np.ndarray:
    """Return a square texture (n, n, 3) uint8 lit from a random side."""
    place = np.linspace(-1, 1, len(texture), dtype=np.float32)
    light = 1 + rng.uniform(-0.3, 0.3) * place[None, :, None] + rng.uniform(-0.3, 0.3) * place[:, None, None]
    return np.clip(texture * light, 0, 255).astype(np.uint8)


def _choose(rng: np.random.Generator, hues: Sequence[float] | None) -> float | None:
    """Return one of the hues, None for any."""
    return None if hues is None else float(rng.choice(hues))
