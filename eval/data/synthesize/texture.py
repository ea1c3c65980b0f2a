"""Procedural textures: stripes, checks, dots, waves and cloudy noise in random palettes."""

import cv2
import numpy as np

TEXTURES = ("stripes", "checks", "dots", "waves", "clouds")


def cloud_noise(rng: np.random.Generator, height: int, width: int, coarsest: int = 4, octaves: int = 4) -> np.ndarray:
    """Return (height, width) float32 noise in [0, 1]: octaves of smoothed random grids, each half as strong."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = coarsest << octave
        shape = (max(2, cells * height // max(height, width)), max(2, cells * width // max(height, width)))
        grid = rng.random(shape, np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / (1 << octave)
    return cv2.normalize(total, total, 0, 1, cv2.NORM_MINMAX)


def palette(rng: np.random.Generator, hue: float | None = None, muted: bool = False) -> np.ndarray:
    """Return three colors (3, 3), float32 BGR values in 0..255 around one hue (0..180, None for any), of different brightness."""
    hue = rng.uniform(0, 180) if hue is None else hue
    saturation = rng.uniform(30, 90, 3) if muted else rng.uniform(110, 240, 3)
    value = rng.permutation(np.linspace(70, 170, 3) if muted else np.linspace(75, 245, 3))
    hsv = np.stack([(hue + rng.uniform(-25, 25, 3)) % 180, saturation, value], axis=-1).astype(np.uint8)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0].astype(np.float32)


def draw_texture(
    rng: np.random.Generator, kind: str, height: int, width: int, hue: float | None = None, muted: bool = False
) -> np.ndarray:
    """Return a texture of one of the kinds `TEXTURES`, (height, width, 3) uint8 BGR; `muted` is paler, for backgrounds.

    `hue` is the color to stay near (0..180 as in OpenCV), None for any.
    """
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None]
    angle = rng.uniform(0, np.pi)
    # In periods of the pattern, so that everything below is free of units.
    period = max(height, width) / rng.uniform(5, 9)
    cosine, sine = np.float32(np.cos(angle) / period), np.float32(np.sin(angle) / period)
    along, across = x * cosine + y * sine, y * cosine - x * sine
    clouds = cloud_noise(rng, height, width)
    turn = np.float32(2 * np.pi)
    weight = {
        "stripes": lambda: np.sin(turn * along),
        "checks": lambda: np.sin(turn / 2 * along) * np.sin(turn / 2 * across),
        "dots": lambda: 0.45 - 1.5 * np.hypot(along % 1 - np.float32(0.5), across % 1 - np.float32(0.5)),
        "waves": lambda: np.sin(turn * (along + np.sin(turn / 2 * across))),
        "clouds": lambda: 4 * clouds - 2,
    }[kind]()
    first, second, third = palette(rng, hue, muted=muted)
    weight = np.clip(0.5 + 3 * weight, 0, 1)[..., None]
    stain = np.float32(0.35) * clouds[..., None]
    pattern = first + weight * (second - first)
    return (pattern + stain * (third - pattern)).astype(np.uint8)
