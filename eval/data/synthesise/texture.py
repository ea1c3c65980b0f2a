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
    return cv2.normalize(total, None, 0, 1, cv2.NORM_MINMAX)


def palette(rng: np.random.Generator, colours: int = 3, muted: bool = False) -> np.ndarray:
    """Return (colours, 3) float32 BGR values in 0..255 around one random hue, of clearly different brightness."""
    hue = (rng.uniform(0, 180) + rng.uniform(-25, 25, colours)) % 180
    saturation = rng.uniform(30, 90, colours) if muted else rng.uniform(110, 240, colours)
    value = rng.permutation(np.linspace(70, 170, colours) if muted else np.linspace(75, 245, colours))
    hsv = np.stack([hue, saturation, value], axis=-1).astype(np.uint8)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0].astype(np.float32)


def draw_texture(rng: np.random.Generator, kind: str, height: int, width: int, muted: bool = False) -> np.ndarray:
    """Return one texture, (height, width, 3) uint8 BGR.

    Args:
        rng: decides the colours, the direction and the period of the pattern.
        kind: one of `TEXTURES`.
        height: pixels.
        width: pixels.
        muted: pale colours, for backgrounds.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    period = max(height, width) / rng.uniform(5, 9)
    clouds = cloud_noise(rng, height, width)
    if kind == "stripes":
        weight = np.sin(2 * np.pi * along / period)
    elif kind == "checks":
        weight = np.sin(np.pi * along / period) * np.sin(np.pi * across / period)
    elif kind == "dots":
        weight = 0.45 - np.hypot(along % period - period / 2, across % period - period / 2) / period * 1.5
    elif kind == "waves":
        weight = np.sin(2 * np.pi * (along + period * np.sin(2 * np.pi * across / (2 * period))) / period)
    elif kind == "clouds":
        weight = 4 * clouds - 2
    else:
        raise ValueError(f"texture {kind!r} is none of {', '.join(TEXTURES)}")
    first, second, third = palette(rng, muted=muted)
    weight = np.clip(0.5 + 3 * weight, 0, 1)[..., None]
    pattern = first * (1 - weight) + second * weight
    stain = 0.35 * clouds[..., None]
    return (pattern * (1 - stain) + third * stain).astype(np.uint8)
