"""The constants of label propagation, and those of the public codes that several benchmarks share."""

from dataclasses import dataclass, replace
from typing import Literal

from eval.protocol import NamedProtocol


@dataclass(frozen=True)
class ShortSide:
    """Frames whose short side has so many pixels; the scaled long side is floored to a multiple."""

    pixels: int
    multiple: int

    def size(self, height: int, width: int, patch_size: int = 1) -> tuple[int, int]:
        """Return the height and width of a frame after resizing. A square counts as landscape: its height is the short side."""
        long = self.pixels * max(height, width) // min(height, width)
        long -= long % self.multiple
        return (long, self.pixels) if height > width else (self.pixels, long)


@dataclass(frozen=True)
class AtLeast:
    """Frames whose short side has so many pixels, or the next more that patches divide; so has the scaled long side."""

    pixels: int

    def size(self, height: int, width: int, patch_size: int = 1) -> tuple[int, int]:
        """Return the height and width of a frame after resizing."""
        short = -(-self.pixels // patch_size) * patch_size
        long = -(-short * max(height, width) // (min(height, width) * patch_size)) * patch_size
        return (long, short) if height > width else (short, long)


@dataclass(frozen=True)
class LongSide:
    """Frames whose long side has so many pixels; the scaled short side is floored to a multiple."""

    pixels: int
    multiple: int

    def size(self, height: int, width: int, patch_size: int = 1) -> tuple[int, int]:
        """Return the height and width of a frame after resizing. A square counts as portrait: its height is the long side."""
        short = self.pixels * min(height, width) // max(height, width)
        short = max(short - short % self.multiple, self.multiple)
        return (short, self.pixels) if width > height else (self.pixels, short)


@dataclass(frozen=True)
class Exactly:
    """Frames that are squeezed into one size."""

    height: int
    width: int

    def size(self, height: int, width: int, patch_size: int = 1) -> tuple[int, int]:
        """Return the height and width, whatever a frame has."""
        return self.height, self.width


@dataclass(frozen=True)
class Protocol(NamedProtocol):
    """Constants of one label propagation (docs/protocols.md, "DAVIS 2017"); lengths are in tokens, unless it says pixels."""

    frame: ShortSide | AtLeast | LongSide | Exactly = ShortSide(480, multiple=64)  # pixels
    resized_by: Literal["bilinear", "bicubic"] = "bilinear"  # OpenCV's, or Pillow's, which averages where it shrinks
    resized_as: Literal["uint8", "float32"] = "uint8"  # whether resized pixels are rounded to whole gray levels
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # RGB, of values in 0..1
    # 0.228 instead of ImageNet's 0.229 is inherited from the first public evaluation; published figures use it.
    std: tuple[float, float, float] = (0.228, 0.224, 0.225)
    # How it becomes the first labels: hard ones by Pillow's or torch's nearest neighbor, which round otherwise, or soft ones.
    first_mask: Literal["nearest", "nearest-exact", "bilinear"] = "nearest"
    context_frames: int = 7  # last frames that vote, besides the first frame
    padded: bool = False  # whether the first frame stands for those before it too, until there are so many
    radius: int = 12  # of the window around the target token; 0 means no window
    window: Literal["square", "circle", "open circle"] = "square"  # an open one leaves out what lies on its border
    window_on_first_frame: bool = True
    topk: int = 5
    ties: Literal["keep", "cut"] = "keep"  # whether all that tie at the threshold stay, or exactly `topk` sources
    temperature: float = 0.1
    enlarged: Literal["bilinear", "nearest"] = "bilinear"  # labels by the patch size, or to the mask's size at once
    # Which channels of enlarged labels are stretched to 0..1 before the largest wins: all with a positive value, of which
    # one that is the same everywhere wins everywhere; or those that vary, and the others are 0.
    stretched: Literal["positive", "varied", "none"] = "positive"

    def size(self, height: int, width: int, patch_size: int = 1) -> tuple[int, int]:
        """Return height and width in pixels of a frame after resizing, floored to what patches divide."""
        height, width = self.frame.size(height, width, patch_size)
        return height // patch_size * patch_size, width // patch_size * patch_size


# The contrastive random walk's public code: a context that begins as copies of the first frame, which votes from everywhere
# besides, soft first labels, exactly so many sources, a window without its border.
VIDEOWALK = Protocol(
    "videowalk",
    frame=ShortSide(480, multiple=16),  # DAVIS at its own size, as far as patches of 16 and 8 divide it
    resized_as="float32",
    std=(0.229, 0.224, 0.225),
    first_mask="bilinear",
    context_frames=20,
    padded=True,
    window="open circle",
    window_on_first_frame=False,
    topk=10,
    ties="cut",
    temperature=0.05,
    stretched="none",
)
# CropMAE's, and with it what is reported beside SiamMAE: the same code with other constants.
CROPMAE = replace(VIDEOWALK, name="cropmae", frame=Exactly(480, 880), radius=20, topk=7, temperature=0.7)
