"""A picture with a label map, onto which textured patches are pasted back to front."""

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

    def paste(
        self,
        patch: np.ndarray,
        alpha: np.ndarray,
        matrix: np.ndarray,
        label: int,
        shade: tuple[float, float] = (0, 0),
        shadow: float = 0,
    ) -> int:
        """Paste a patch and return its number of pixels inside the frame, before anything covers it.

        Args:
            patch: (h, w, 3) uint8 BGR.
            alpha: (h, w) uint8, 255 inside the object; what comes out above 127 gets the label.
            matrix: (2, 3) affine map from patch to frame, pixel centres at integers.
            label: written into `labels`.
            shade: brightness gradient over the patch along the frame's x and y.
            shadow: darkness, 0..1, of the shadow it throws to its lower right.
        """
        height, width = self.labels.shape
        h, w = alpha.shape
        corners = np.array([(0, 0), (w, 0), (w, h), (0, h)]) @ matrix[:, :2].T + matrix[:, 2]
        size = np.sqrt(abs(np.linalg.det(matrix[:, :2])) * h * w)
        reach = int(2 + 0.2 * size * bool(shadow))
        left, top = np.maximum(np.floor(corners.min(0)).astype(int) - 2, 0)
        right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + reach, (width, height))
        if left >= right or top >= bottom:
            return 0
        local = matrix - [[0, 0, left], [0, 0, top]]
        extent = (int(right - left), int(bottom - top))
        colour = cv2.warpAffine(patch, local, extent, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(alpha, local, extent, flags=cv2.INTER_LINEAR)
        region = self.image[top:bottom, left:right].astype(np.float32)
        if shadow:
            throw = np.float32([[1, 0, 0.07 * size], [0, 1, 0.09 * size]])
            dark = cv2.warpAffine(cv2.blur(mask, (5, 5)), throw, extent)
            region *= 1 - (shadow / 255) * dark[..., None].astype(np.float32)
        x = np.linspace(-1, 1, extent[0], dtype=np.float32)
        y = np.linspace(-1, 1, extent[1], dtype=np.float32)
        light = 1 + shade[0] * x[None, :, None] + shade[1] * y[:, None, None]
        opacity = mask[..., None].astype(np.float32) / 255
        region += (colour * light - region) * opacity
        self.image[top:bottom, left:right] = np.clip(region, 0, 255)
        inside = mask > 127
        self.labels[top:bottom, left:right][inside] = label
        return int(np.count_nonzero(inside))


def placement(centre: tuple[float, float], angle: float, scale: float, patch_shape: tuple[int, ...]) -> np.ndarray:
    """Return the (2, 3) map that turns a patch by `angle` (radians), scales it and puts its middle at `centre` (x, y)."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    middle = np.array([(patch_shape[1] - 1) / 2, (patch_shape[0] - 1) / 2])
    return np.column_stack([linear, np.asarray(centre) - linear @ middle])


def develop(image: np.ndarray, rng: np.random.Generator, gain: np.ndarray | float = 1.0, noise: float = 3.0) -> np.ndarray:
    """Return the picture as a camera would: brightness times `gain` (broadcast to BGR), sensor noise (grey levels)."""
    grain = rng.normal(0, noise, (64, 64, 1)).astype(np.float32)
    height, width = image.shape[:2]
    # Tiles of one small noise field in random order are as good as fresh noise and twenty times as fast.
    rows = rng.integers(0, 64, height)[:, None] + np.arange(width)[None] // 64 * 17
    grain = grain[rows % 64, (np.arange(width)[None] + rng.integers(0, 64, height)[:, None]) % 64]
    return np.clip(image * np.float32(gain) + grain, 0, 255).astype(np.uint8)


def encode_jpeg(image: np.ndarray, quality: int = 92) -> np.ndarray:
    """Return JPEG bytes of a BGR picture."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
