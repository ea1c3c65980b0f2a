"""Geometry of the views: decode an image and cut its random resized crops (docs/method.md, "Views")."""

from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from flsl.random_crop import Box
from flsl.runtime.images import read_rgb


def decode(path: str | Path) -> torch.Tensor:
    """Decode an image file to RGB, `(3, H, W)` uint8, channels last in memory. Raises ImageError."""
    return torch.from_numpy(read_rgb(path)).permute(2, 0, 1)


def cut_views(image: torch.Tensor, boxes: list[tuple[Box, int]], nested: bool) -> list[torch.Tensor]:
    """Cut views out of an image `(3, H, W)` uint8, or all but the first out of the first where they are `nested`.

    Resizing is bicubic with antialiasing, as PIL does it, up to rounding.
    """
    crops: list[torch.Tensor] = []
    for (left, top, right, bottom), side in boxes:
        source = crops[0] if crops and nested else image
        # Dense channels-last memory is what torch's kernel for bytes is fastest on: twice as fast, the same bytes.
        part = source[None, :, top:bottom, left:right].contiguous(memory_format=torch.channels_last)
        crops.append(F.interpolate(part, (side, side), mode="bicubic", align_corners=False, antialias=True)[0])
    return crops


def cut_views_pil(image: Image.Image, boxes: list[tuple[Box, int]], nested: bool) -> list[Image.Image]:
    """Plain path of `cut_views`: the same boxes, cropped and resized by PIL."""
    crops: list[Image.Image] = []
    for box, side in boxes:
        source = crops[0] if crops and nested else image
        crops.append(source.crop(box).resize((side, side), Image.Resampling.BICUBIC))
    return crops
