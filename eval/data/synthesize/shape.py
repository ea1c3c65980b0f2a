"""Closed outlines of objects, centered, within the unit circle."""

import numpy as np

SHAPES = ("disc", "triangle", "star", "cross", "blob", "crescent", "leaf", "gear")


def draw_outline(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Return an outline as (n, 2) float64 points x, y with radius at most 1; `kind` is one of `SHAPES`."""
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    if kind == "disc":
        return circle * [1, rng.uniform(0.8, 1)]
    if kind == "triangle":
        return _along_edges(circle[::32])
    if kind == "star":
        angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        radius = np.where(np.arange(10) % 2, rng.uniform(0.4, 0.5), 1)
        return _along_edges(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1))
    if kind == "cross":
        arm = rng.uniform(0.28, 0.36)
        half = np.array([(1, -arm), (1, arm), (arm, arm), (arm, 1), (-arm, 1), (-arm, arm)])
        return _along_edges(np.concatenate([half, -half]) / np.hypot(1, arm))
    if kind == "blob":
        radius = 1 + sum(rng.uniform(-0.3, 0.3) / k * np.sin(k * turn + rng.uniform(0, 6.3)) for k in range(2, 6))
        return circle * (radius / radius.max())[:, None]
    if kind == "crescent":
        # An arc of the unit circle, and back along a circle around (offset, 0) through the arc's ends.
        end, offset = np.radians(50), rng.uniform(0.45, 0.55)
        inner_end = np.arctan2(np.sin(end), np.cos(end) - offset)
        outer = np.linspace(end, 2 * np.pi - end, 64)
        inner = np.linspace(2 * np.pi - inner_end, inner_end, 32)[1:-1]
        radius = np.hypot(np.sin(end), np.cos(end) - offset)
        back = np.stack([offset + radius * np.cos(inner), radius * np.sin(inner)], axis=-1)
        return np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=-1), back])
    if kind == "leaf":
        return circle * np.stack([np.ones(96), 0.55 * np.abs(np.sin(turn))], axis=-1)
    return circle * np.where(np.sin(8 * turn) > 0, 1, 0.75)[:, None]  # a gear


def bend(outline: np.ndarray, phase: float, strength: float) -> np.ndarray:
    """Return the outline (n, 2) bent like a body in motion: radii swell and shrink with three waves around it."""
    angle = np.arctan2(outline[:, 1], outline[:, 0])
    factor = 1 + strength * (np.sin(2 * angle + phase) + 0.5 * np.sin(3 * angle - 1.7 * phase))
    return outline * factor[:, None] / (1 + 1.5 * strength)


def _along_edges(corners: np.ndarray) -> np.ndarray:
    """Insert points along straight edges, so that `bend` can curve them."""
    share = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    following = np.roll(corners, -1, axis=0)[:, None]
    return (corners[:, None] * (1 - share) + following * share).reshape(-1, 2)
