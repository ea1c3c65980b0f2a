"""A few images with masks for the online probe, of the layouts that need no tools: CamVid's, and a plain folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from flsl.confusion import VOID
from flsl.runtime.errors import UserError
from flsl.runtime.files import list_files
from flsl.runtime.images import ImageError, read_mask, read_rgb

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
CAMVID_CLASSES = 11
EXPECTED = (
    "CamVid's layout (train/, trainannot/), or images/train/, masks/train/*.png with class numbers and classes.txt with "
    "one class name per line"
)


@dataclass(frozen=True)
class Labeled:
    """Images `(B, 3, s, s)` in 0..1 and masks `(B, s, s)`; numbers from `classes` on are void."""

    images: torch.Tensor
    masks: torch.Tensor
    classes: int


def read_labeled(root: Path, side: int, count: int) -> Labeled:
    """Read `count` images spread over the training split in order of their names, squashed to squares.

    Raises:
        UserError: no such layout, no classes or too many, fewer than two images, an image without a mask, or a file that cannot be read.
    """
    if (root / "trainannot").is_dir():
        folders, classes = (root / "train", root / "trainannot"), CAMVID_CLASSES
    elif (root / "masks" / "train").is_dir() and (root / "classes.txt").is_file():
        folders = (root / "images" / "train", root / "masks" / "train")
        classes = len((root / "classes.txt").read_bytes().rstrip().splitlines())
        if not 1 <= classes <= VOID:
            raise UserError(
                f"--probe-data: {root / 'classes.txt'} lists {classes} classes; a mask of bytes holds 1 to {VOID} and void"
            )
    else:
        raise UserError(f"--probe-data {root} has no layout that the probe reads: expected is {EXPECTED}")
    paths = list_files(folders[0], SUFFIXES) if folders[0].is_dir() else []
    if len(paths) < 2:
        raise UserError(f"--probe-data needs two images or more, but {folders[0]} holds {len(paths)}")
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)]
    images, masks = [], []
    for path in chosen:
        mask = (folders[1] / path.relative_to(folders[0])).with_suffix(".png")
        try:
            image, labels = torch.tensor(read_rgb(path)), torch.tensor(read_mask(mask))
        except ImageError as error:
            raise UserError(f"--probe-data: {error}. Restore the file, or take the image out.") from error
        image = image.permute(2, 0, 1)[None].float() / 255
        images.append(F.interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False)[0])
        masks.append(F.interpolate(labels[None, None].float(), (side, side), mode="nearest")[0, 0].long())
    return Labeled(torch.stack(images), torch.stack(masks), classes)
