"""Predictions on disk: a PNG of class numbers (or of cluster numbers, 16 bits) for each image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from eval.palette import voc_colors
from flsl.confusion import VOID
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from flsl.runtime.images import ImageError, read_mask

COLORS = voc_colors()  # (256, 3) uint8, of each class number
COLORS[VOID] = 255


@dataclass(frozen=True)
class Predictions:
    """A folder `[PART/]NAME.png`, one file per image and part."""

    folder: Path

    def path(self, name: str, part: str = "") -> Path:
        """Return the file of an image."""
        return self.folder / part / f"{name}.png"

    def missing(self, names: Sequence[str], parts: Sequence[str]) -> list[int]:
        """Return the indices of the images that lack a file."""
        return [index for index, name in enumerate(names) if not all(self.path(name, part).is_file() for part in parts)]

    def write(self, numbers: np.ndarray, name: str, part: str = "") -> None:
        """Write the numbers (H, W) of an image, uint8 or uint16."""
        if numbers.dtype == np.uint8:
            image = Image.fromarray(numbers, "L")
            image.putpalette(COLORS.tobytes())
        else:
            image = Image.fromarray(numbers)
        write_atomic(self.path(name, part), partial(image.save, format="PNG"))

    def read(self, name: str, part: str = "", *, shape: tuple[int, int], count: int) -> np.ndarray:
        """Read the numbers (H, W) of an image.

        Args:
            name: of the image.
            part: of the predictions.
            shape: height and width that they must have.
            count: numbers are 0..count - 1.

        Raises:
            UserError: no such file, no picture of numbers, another size, or a number that stands for nothing.
        """
        path = self.path(name, part)
        try:
            numbers = read_mask(path, ("P", "L", "I;16"))
        except ImageError as error:
            raise UserError(
                f"prediction {path}: {error.reason}. Expected is a PNG of class numbers for every evaluated image."
            ) from error
        if numbers.shape != tuple(shape):
            found, wanted = (f"{width}x{height}" for height, width in (numbers.shape, shape))
            raise UserError(
                f"prediction {path} has {found} pixels, but the protocol evaluates {wanted}. Predict at that size."
            )
        if numbers.max() >= count:
            raise UserError(
                f"prediction {path} holds the number {numbers.max()}, but must hold 0 to {count - 1}: the number of a "
                "pixel is its class."
            )
        return numbers
