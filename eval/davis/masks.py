"""Palette masks on disk."""

from pathlib import Path

import numpy as np
from PIL import Image

from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask

VOID = 255


def read_truth(path: Path) -> np.ndarray:
    """Read an annotation with void as background (docs/protocols.md, "DAVIS metrics"): (H, W) uint8 object ids."""
    mask = read_mask(path)
    return np.where(mask == VOID, np.uint8(0), mask)


def read_palette(path: Path) -> list[int]:
    """Return the palette of an annotation: 768 numbers, RGB of each index."""
    with Image.open(path) as image:
        palette = image.getpalette() or []
    return palette + [0] * (768 - len(palette))


def write_mask(path: Path, mask: np.ndarray, palette: list[int]) -> None:
    """Write (H, W) uint8 object ids as a palette PNG. Raises UserError, naming the file, if the disk refuses."""
    image = Image.fromarray(mask)
    image.putpalette(palette)  # makes it a palette picture
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. Choose an --out that can be written to."
        ) from error
