"""Geometry of the views: decode an image and cut its random resized crops (docs/method.md, "Views")."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from flsl.random_crop import Box, draw_box
from flsl.runtime.images import read_rgb
from pretrain.recipe import Views


def decode(path: str | Path) -> torch.Tensor:
    """Decode an image file to RGB, `(3, H, W)` uint8, channels last in memory. Raises ImageError."""
    return torch.from_numpy(read_rgb(path)).permute(2, 0, 1)


def draw_boxes(width: int, height: int, views: Views, random: np.random.Generator) -> list[tuple[Box, int]]:
    """Draw box and side of every view: the teacher's in the image, the student's in what `views.student_from` says."""
    size = views.global_size
    boxes = [(draw_box(width, height, views.teacher_scale, random), size)]
    if views.student_from == "teacher":
        width, height = size, size
    boxes.append((draw_box(width, height, views.global_scale, random), size))
    boxes += [(draw_box(width, height, views.local_scale, random), views.local_size) for _ in range(views.n_local)]
    return boxes


def draw_flips(views: Views, random: np.random.Generator) -> list[bool]:
    """Draw which views are flipped, the teacher's first; nothing is drawn where none can be."""
    return (random.random(2 + views.n_local) < views.flip).tolist() if views.flip else [False] * (2 + views.n_local)


def cut_views(
    image: torch.Tensor, boxes: list[tuple[Box, int]], student_from: Literal["teacher", "image"] = "teacher"
) -> list[torch.Tensor]:
    """Cut the teacher's crop out of an image `(3, H, W)` uint8, then the student's out of that crop or of the image.

    Resizing is bicubic with antialiasing, as PIL does it, up to rounding.
    """
    crops: list[torch.Tensor] = []
    for (left, top, right, bottom), side in boxes:
        source = crops[0] if crops and student_from == "teacher" else image
        # Dense channels-last memory is what torch's kernel for bytes is fastest on: twice as fast, the same bytes.
        part = source[None, :, top:bottom, left:right].contiguous(memory_format=torch.channels_last)
        crops.append(F.interpolate(part, (side, side), mode="bicubic", align_corners=False, antialias=True)[0])
    return crops


def cut_views_pil(
    image: Image.Image, boxes: list[tuple[Box, int]], student_from: Literal["teacher", "image"] = "teacher"
) -> list[Image.Image]:
    """Plain path of `cut_views`: the same boxes, cropped and resized by PIL."""
    crops: list[Image.Image] = []
    for box, side in boxes:
        source = crops[0] if crops and student_from == "teacher" else image
        crops.append(source.crop(box).resize((side, side), Image.Resampling.BICUBIC))
    return crops
