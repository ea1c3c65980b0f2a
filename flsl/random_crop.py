"""Boxes of random resized crops, as torchvision draws them: those of pretraining's views and of segmentation's training images."""

import math

import numpy as np

ASPECT = (3 / 4, 4 / 3)
TRIES = 10
Box = tuple[int, int, int, int]  # left, top, right, bottom


def draw_box(width: int, height: int, scale: tuple[float, float], random: np.random.Generator) -> Box:
    """Draw the box of a random resized crop.

    The area is uniform in `scale` of the image's, the aspect ratio log-uniform in 3/4..4/3; after ten draws that do
    not fit, the largest centered box of a permitted ratio is taken.
    """
    for _ in range(TRIES):
        area = width * height * random.uniform(*scale)
        ratio = math.exp(random.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
            return left, top, left + w, top + h
    ratio = min(max(width / height, ASPECT[0]), ASPECT[1])
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h
