"""The colors in which maps of numbers are shown."""

import numpy as np


def voc_colors() -> np.ndarray:
    """Return the color (256, 3) uint8 of each number, as PASCAL VOC and DAVIS have it, far from each other for the first ones:
    its bits, from the lowest, set the highest bits of red, green and blue in turn."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    colors = np.zeros((256, 3), int)
    for bit in range(8):
        colors[:, bit % 3] |= bits[:, bit] << (7 - bit // 3)
    return colors.astype(np.uint8)
