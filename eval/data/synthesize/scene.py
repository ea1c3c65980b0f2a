"""Scenes of textured objects that move, turn, swell, bend and pass in front of each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, develop, fill_outline, placement
from eval.data.synthesize.shape import SHAPES, bend, draw_outline
from eval.data.synthesize.texture import TEXTURES, cloud_noise, draw_texture


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


class Drawable(Protocol):
    """What a scene can hold: it pastes itself at a time and says how many pixels it has inside the frame."""

    @property
    def label(self) -> int:
        """Of its pixels; 0 for the background."""

    def draw(self, canvas: Canvas, time: float, offset: tuple[float, float]) -> int:
        """Paste it at a time, seen from a camera at `offset`."""


class Thing:
    """One object: its look and its motion."""

    def __init__(
        self,
        rng: np.random.Generator,
        label: int,
        center: tuple[float, float],
        radius: float,
        shape: str | None = None,
        texture: str | None = None,
        speed: float = 0,
        suppleness: float = 0,
        hue: float | None = None,
    ):
        """Draw an object; what is None is drawn too.

        Args:
            rng: decides the rest.
            label: at least 0; things with label 0 hide others and belong to the background.
            center: x, y in the frame at rest, pixels.
            radius: pixels.
            shape: one of `SHAPES`.
            texture: one of `TEXTURES`.
            speed: highest speed along each axis, pixels per frame.
            suppleness: how far the outline bends, as a share of the radius.
            hue: 0..180 as in OpenCV.
        """
        self.label, self.suppleness = label, suppleness
        self.shape = shape or str(rng.choice(SHAPES))
        texture = texture or str(rng.choice(TEXTURES))
        self.outline = draw_outline(rng, self.shape)
        self.texture = _draw_shaded(rng, texture, 128 if radius > 32 else 64, hue)

        def sway(middle: float, top_speed: float) -> Sway:
            period = rng.uniform(30, 70)
            return Sway(middle, top_speed * period / (2 * np.pi), period, rng.uniform(0, 2 * np.pi))

        self.x = sway(center[0], speed * rng.uniform(0.5, 1))
        self.y = sway(center[1], speed * rng.uniform(0.2, 0.6))
        self.radius = sway(radius, radius * min(speed, 1) * rng.uniform(0, 0.015))
        self.angle = sway(rng.uniform(0, 2 * np.pi), min(speed, 1) * rng.uniform(0, 0.08))

    def alpha(self, time: float) -> np.ndarray:
        """Return the coverage of the bent outline at a time, uint8, as large as the texture."""
        outline = bend(self.outline, time * 0.25 + self.x.phase, self.suppleness)
        return fill_outline((outline * 0.48 + 0.5) * (len(self.texture) - 1), len(self.texture))

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


class Scene:
    """A background wider than the frame, a camera that sways over it, and things back to front."""

    def __init__(
        self,
        rng: np.random.Generator,
        things: Sequence[Drawable],
        height: int,
        width: int,
        speed: float = 0,
        hue: float | None = None,
        flicker: float = 0,
    ):
        """Draw a background for `things` (back to front) in frames of (height, width) pixels.

        The camera moves at `speed` at most; `flicker` is how far the brightness of each color swings, as a share of it.
        """
        self.things, self.height, self.width = things, height, width
        brightness = rng.uniform(0.85, 1.1)
        period = rng.uniform(60, 120)
        reach = speed * period / (2 * np.pi)
        self.margin = int(np.ceil(reach)) + 2
        self.background = draw_background(rng, height + 2 * self.margin, width + 2 * self.margin, hue)
        self.camera = [Sway(0, extent, period, rng.uniform(0, 6.3)) for extent in (reach, reach / 2)]
        self.light = [Sway(brightness, flicker, rng.uniform(12, 24), rng.uniform(0, 6.3)) for _ in range(3)]
        self.seed = int(rng.integers(1 << 31))

    def offset(self, time: float) -> tuple[float, float]:
        """Return x, y of the camera at a time, in pixels from where it rests."""
        x, y = (sway.at(time) for sway in self.camera)
        return x, y

    def view(self, time: float = 0) -> View:
        """Render the frame at a time (in frames)."""
        x, y = self.offset(time)
        window = np.array([[1, 0, -self.margin - x], [0, 1, -self.margin - y]])
        canvas = Canvas.window(self.background, window, self.height, self.width)
        unhidden = {thing.label: thing.draw(canvas, time, (x, y)) for thing in self.things}
        rng = np.random.default_rng([self.seed, int(time)])
        image = develop(canvas.image, rng, np.array([sway.at(time) for sway in self.light]))
        return View(image, canvas.labels, unhidden)


def draw_background(rng: np.random.Generator, height: int, width: int, hue: float | None = None) -> np.ndarray:
    """Return a muted background (height, width, 3) uint8: two textures in cloudy patches under uneven light.

    It is drawn at half size, which is four times as fast and softer than the objects before it.
    """
    h, w = height // 2 + 1, width // 2 + 1
    first, second = (draw_texture(rng, kind, h, w, hue, muted=True) for kind in rng.choice(TEXTURES, 2))
    where = np.clip(8 * (cloud_noise(rng, h, w, coarsest=3) - 0.5) + 0.5, 0, 1)[..., None]
    light = 0.65 + 0.6 * cloud_noise(rng, h, w, coarsest=2, octaves=2)[..., None]
    mixed = np.clip((first * (1 - where) + second * where) * light, 0, 255).astype(np.uint8)
    return cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR)


def _draw_shaded(rng: np.random.Generator, kind: str, side: int, hue: float | None) -> np.ndarray:
    """Return a square texture (side, side, 3) uint8 lit from a random side."""
    texture = draw_texture(rng, kind, side, side, hue)
    place = np.linspace(-1, 1, side, dtype=np.float32)
    light = 1 + rng.uniform(-0.3, 0.3) * place[None, :, None] + rng.uniform(-0.3, 0.3) * place[:, None, None]
    return np.clip(texture * light, 0, 255).astype(np.uint8)
