"""Geometry of the views: decode an image and cut its random resized crops (method.md section 2)."""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from pretrain.recipe import Views

ImageFile.LOAD_TRUNCATED_IMAGES = False
ASPECT = (3 / 4, 4 / 3)


def decode(path: str | Path) -> Image.Image:
    """Decode an image file to RGB; raises OSError, SyntaxError or ValueError where it is broken."""
    with Image.open(path) as image:
        return image.convert("RGB")


def draw_box(width: int, height: int, scale: tuple[float, float], random: np.random.Generator) -> tuple[int, ...]:
    """Draw the box (left, top, right, bottom) of a random resized crop.

    The area is uniform in `scale` of the image's, the aspect ratio log-uniform in 3/4..4/3; after ten draws that do
    not fit, the largest centred box of a permitted ratio is taken.
    """
    for _ in range(10):
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


def cut_views(image: Image.Image, views: Views, random: np.random.Generator) -> list[Image.Image]:
    """Cut the teacher's crop out of the image, then the student's global and local crops out of the teacher's crop."""

    def crop(source: Image.Image, size: int, scale: tuple[float, float]) -> Image.Image:
        box = draw_box(source.width, source.height, scale, random)
        return source.crop(box).resize((size, size), Image.Resampling.BICUBIC)

    teacher = crop(image, views.global_size, views.teacher_scale)
    student = [crop(teacher, views.global_size, views.global_scale)]
    student += [crop(teacher, views.local_size, views.local_scale) for _ in range(views.n_local)]
    return [teacher, *student]
