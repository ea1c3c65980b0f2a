"""From marked tokens and a seed among them to the box around the seed's connected part."""

import numpy as np
from scipy.ndimage import label

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


def component_of(marked: np.ndarray, seed: int) -> np.ndarray:
    """Return the tokens (h, w) bool that hang together with the seed (raster index), which is marked; corners do not touch."""
    parts, _ = label(marked)
    return parts == parts.flat[seed]


def box_around(component: np.ndarray, patch_size: int, size: tuple[int, int]) -> Box:
    """Return the box around tokens (h, w) bool, in pixels of an image of this (height, width) before it was padded."""
    rows, columns = (np.flatnonzero(component.any(axis=axis)) for axis in (1, 0))
    left, right = int(columns[0]) * patch_size, (int(columns[-1]) + 1) * patch_size
    top, bottom = int(rows[0]) * patch_size, (int(rows[-1]) + 1) * patch_size
    return left, top, min(right, size[1]), min(bottom, size[0])
