"""Masks on disk."""

from pathlib import Path

import numpy as np
from PIL import Image

from flsl.runtime.errors import UserError


def read_palette(path: Path) -> list[int] | None:
    """Return the palette of an annotation: 768 numbers, RGB of each index; None if it is a gray picture."""
    with Image.open(path) as image:
        palette = image.getpalette()
    return None if palette is None else palette + [0] * (768 - len(palette))


def require_size(mask: np.ndarray, path: Path, size: tuple[int, ...], annotation: Path) -> None:
    """Raise UserError where a predicted mask (H, W) has not the size (height, width) of its annotation."""
    if mask.shape != size:
        found, wanted = (f"{width}x{height}" for height, width in (mask.shape, size))
        raise UserError(f"{path} has {found} pixels, but its annotation {annotation} has {wanted}. Resize it to that.")


def write_mask(path: Path, mask: np.ndarray, palette: list[int] | None) -> None:
    """Write (H, W) uint8 as a PNG: object ids with a palette, gray levels without one.

    Raises UserError, naming the file, if the disk refuses.
    """
    image = Image.fromarray(mask)
    if palette:
        image.putpalette(palette)  # makes it a palette picture
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. Choose an --out that can be written to."
        ) from error
