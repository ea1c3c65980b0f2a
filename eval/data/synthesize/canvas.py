"""A picture with a label map, onto which textured patches are pasted back to front, and the maps that place them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass
class Canvas:
    """`image` (H, W, 3) uint8 BGR; `labels` (H, W) uint16, the label of what is seen in each pixel."""

    image: np.ndarray
    labels: np.ndarray

    @classmethod
    def on(cls, image: np.ndarray) -> "Canvas":
        """Return a canvas on a background, where every pixel has label 0."""
        return cls(image, np.zeros(image.shape[:2], np.uint16))

    @classmethod
    def window(cls, background: np.ndarray, matrix: np.ndarray, height: int, width: int) -> "Canvas":
        """Return a canvas on what a camera sees of a background; `matrix` (2, 3) maps the background to the frame."""
        return cls.on(cv2.warpAffine(background, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))

    def paste(self, patch: np.ndarray, alpha: np.ndarray, matrix: np.ndarray, label: int, shadow: float = 0) -> int:
        """Paste a patch and return its number of pixels inside the frame, before anything covers it.

        Args:
            patch: (h, w, 3) uint8 BGR.
            alpha: (h, w) uint8, 255 inside the object; what comes out above 127 gets the label.
            matrix: (2, 3) affine map from patch to frame, pixel centers at integers.
            label: written into `labels`.
            shadow: darkness, 0..1, of the shadow it throws to its lower right.
        """
        height, width = self.labels.shape
        h, w = alpha.shape
        reached = transform(matrix, corners(0, 0, w, h))
        size = np.sqrt(abs(np.linalg.det(matrix[:, :2])) * h * w)
        reach = int(2 + 0.2 * size * bool(shadow))
        left, top = np.maximum(np.floor(reached.min(0)).astype(int) - 2, 0)
        right, bottom = np.minimum(np.ceil(reached.max(0)).astype(int) + reach, (width, height))
        if left >= right or top >= bottom:
            return 0
        local = matrix - [[0, 0, left], [0, 0, top]]
        extent = (int(right - left), int(bottom - top))
        color = cv2.warpAffine(patch, local, extent, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(alpha, local, extent, flags=cv2.INTER_LINEAR)
        region = self.image[top:bottom, left:right]
        if shadow:
            throw = np.array([[1, 0, 0.07 * size], [0, 1, 0.09 * size]], np.float32)
            dark = cv2.warpAffine(cv2.blur(mask, (5, 5)), throw, extent).astype(np.float32) * (shadow / 255)
            region = cv2.blendLinear(np.zeros_like(region), region, dark, 1 - dark)
        opacity = mask.astype(np.float32) / 255
        self.image[top:bottom, left:right] = cv2.blendLinear(color, region, opacity, 1 - opacity)
        inside = mask > 127
        self.labels[top:bottom, left:right][inside] = label
        return int(np.count_nonzero(inside))


def corners(left: float, top: float, width: float, height: float) -> np.ndarray:
    """Return the four corners x, y of a rectangle, (4, 2), in their order around it."""
    return np.array([(left, top), (left + width, top), (left + width, top + height), (left, top + height)])


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (n, 2) by a (2, 3) affine map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def centered(linear: np.ndarray, center: Sequence[float] | np.ndarray, patch_shape: tuple[int, ...]) -> np.ndarray:
    """Return the (2, 3) map with the linear part (2, 2) that puts the middle of a patch at `center` (x, y)."""
    middle = np.array([(patch_shape[1] - 1) / 2, (patch_shape[0] - 1) / 2])
    return np.column_stack([linear, np.asarray(center) - linear @ middle])


def placement(center: tuple[float, float], angle: float, scale: float, patch_shape: tuple[int, ...]) -> np.ndarray:
    """Return the (2, 3) map that turns a patch by `angle` (radians), scales it and puts its middle at `center` (x, y)."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return centered(np.array([[cosine, -sine], [sine, cosine]]), center, patch_shape)


def fill_outline(outline: np.ndarray, side: int) -> np.ndarray:
    """Return the coverage (side, side) uint8 of a polygon with the points x, y in pixels (n, 2), smooth at its edge."""
    points = np.round(outline * 16).astype(np.int32)
    return cv2.fillPoly(np.zeros((side, side), np.uint8), [points], 255, cv2.LINE_AA, shift=4)


def develop(image: np.ndarray, rng: np.random.Generator, gain: np.ndarray, noise: int = 5) -> np.ndarray:
    """Return the picture (H, W, 3) uint8 as a camera would: brightness times `gain`, uniform noise of +-`noise` levels.

    `gain` is (H, W, 3) float32, or (3,) for the whole picture.
    """
    factor = gain if gain.ndim == 3 else tuple(gain.tolist())
    lit = cv2.multiply(image, factor, dtype=cv2.CV_8U)  # type: ignore[arg-type]  # the stubs know no scalars
    grain = rng.integers(-noise, noise + 1, image.shape, np.int8)
    return cv2.add(lit, grain, dtype=cv2.CV_8U)
