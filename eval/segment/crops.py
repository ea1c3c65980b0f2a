"""What the linear protocols train on: random crops of an image and its mask, drawn anew in every step.

A draw depends on nothing but the generator that it is given, so that a run which goes on after a break sees the same
crops. Images are `(H, W, 3)` uint8 RGB, masks `(H, W)` uint8 with 255 for void; crops are tensors, `(3, S, S)` uint8 (or
float where colors were changed) and `(S, S)` uint8.
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import functional

from flsl.confusion import VOID
from flsl.random_crop import draw_box

MOST_OF_ONE_CLASS = 0.75  # share of a crop's labeled pixels
TRIES = 10
Size = tuple[int, int]  # height, width


def squash(image: np.ndarray, size: Size) -> torch.Tensor:
    """Return an image of any size as `(3, *size)` uint8, by Pillow's bilinear filter, which averages where it shrinks."""
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def squash_mask(mask: np.ndarray, size: Size) -> np.ndarray:
    """Return a mask of any size as `size` uint8, by Pillow's nearest neighbor (centers of pixels)."""
    return np.array(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def shrink_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """Return a mask as (side, side) uint8, by torch's nearest neighbor (corners of pixels)."""
    return F.interpolate(torch.from_numpy(mask)[None, None], (side, side), mode="nearest")[0, 0].numpy()


def small_truth(mask: np.ndarray, side: int, mask_size: int) -> np.ndarray:
    """Return a mask as Leopart evaluates it: squashed to the input's square, then to `mask_size` pixels."""
    return shrink_mask(squash_mask(mask, (side, side)), mask_size)


def resized_crop(
    image: np.ndarray,
    mask: np.ndarray,
    random: np.random.Generator,
    *,
    side: int,
    mask_size: int,
    scale: tuple[float, float],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a random resized crop, flipped in half of the draws: Leopart's.

    Returns:
        The image `(3, side, side)` uint8, and the mask `(mask_size, mask_size)` uint8.
    """
    height, width = mask.shape
    left, top, right, bottom = draw_box(width, height, scale, random)
    crop = squash(image[top:bottom, left:right], (side, side))
    labels = squash_mask(mask[top:bottom, left:right], (side, side))
    if random.random() < 0.5:
        crop, labels = crop.flip(-1), labels[:, ::-1].copy()
    return crop, torch.from_numpy(shrink_mask(labels, mask_size))


def short_side(image: np.ndarray, side: int) -> Size:
    """Return height and width in pixels after the short side was scaled to `side`, the aspect ratio kept."""
    height, width = image.shape[:2]
    if height > width:
        return int(side * height / width + 0.5), side
    return side, int(side * width / height + 0.5)


def scaled_crop(
    image: np.ndarray,
    mask: np.ndarray,
    random: np.random.Generator,
    *,
    short: int,
    side: int,
    ratios: tuple[float, float],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a crop of a randomly scaled image, flipped in half of the draws, with changed colors: DINOv3's.

    The short side becomes `short` times a ratio; of up to ten places, the first in which no class has three quarters of
    the labeled pixels is taken.

    Returns:
        The image `(3, h, w)` float32 in 0..255, and the mask `(h, w)` uint8; both are smaller than `side` where the scaled
        image is. `pad` makes them whole after normalization.
    """
    size = short_side(image, int(short * random.uniform(*ratios)))
    scaled = squash(image, size)
    labels = F.interpolate(torch.from_numpy(mask)[None, None], size, mode="nearest")[0, 0]
    rows, columns = _place(size, side, random)
    for _ in range(TRIES):
        pixels = np.bincount(labels[rows, columns].numpy().ravel())[:VOID]  # of each class
        if np.count_nonzero(pixels) > 1 and pixels.max() / pixels.sum() < MOST_OF_ONE_CLASS:
            break
        rows, columns = _place(size, side, random)
    scaled, labels = scaled[:, rows, columns], labels[rows, columns]
    if random.random() < 0.5:
        scaled, labels = scaled.flip(-1), labels.flip(-1)
    return change_colors(scaled, random), labels


def _place(size: Size, side: int, random: np.random.Generator) -> tuple[slice, slice]:
    """Draw rows and columns of a crop."""
    top, left = (int(random.integers(max(length - side, 0) + 1)) for length in size)
    return slice(top, top + side), slice(left, left + side)


def change_colors(image: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Change brightness, contrast, saturation and hue of `(3, H, W)` uint8, each in half of the draws: mmsegmentation's
    photometric distortion, as DINOv3 has it. Returns float32 in 0..255, whole numbers.
    """

    def scaled(pixels: torch.Tensor, factor: float, shift: float) -> torch.Tensor:
        return (pixels.float() * factor + shift).clamp(0, 255).to(torch.uint8)

    if random.random() < 0.5:
        image = scaled(image, 1.0, random.uniform(-32, 32))
    contrast_first = random.random() < 0.5
    if contrast_first and random.random() < 0.5:
        image = scaled(image, random.uniform(0.5, 1.5), 0.0)
    if random.random() < 0.5:
        image = functional.adjust_saturation(image, random.uniform(0.5, 1.5))
    if random.random() < 0.5:
        image = adjust_hue(image, random.uniform(-0.5, 0.5))
    if not contrast_first and random.random() < 0.5:
        image = scaled(image, random.uniform(0.5, 1.5), 0.0)
    return image.float()


def adjust_hue(image: torch.Tensor, turn: float) -> torch.Tensor:
    """Turn the hue of `(3, H, W)` uint8 by a share of the circle, -0.5..0.5: the same bytes as torchvision's
    function of this name, in less than half of its time, which was half of a crop's.
    """
    x = image.float() / 255
    most, least = x.amax(0), x.amin(0)
    spread = most - least
    gray = spread == 0
    red, green, blue = (most - x) / spread.masked_fill(gray, 1)  # how far each is below the largest, 0..1
    hue = torch.where(x[1] == most, 2 + red - blue, 4 + green - red)
    hue = torch.where(x[0] == most, blue - green, hue)
    hue = ((hue / 6 + 1).fmod_(1) + turn).remainder_(1) * 6
    sector = hue.floor()
    saturation, part = spread / most.masked_fill(gray, 1), hue - sector
    lowest, falling, rising = (most * (1 - saturation * share) for share in (1, part, 1 - part))
    values = torch.stack((most, falling, lowest, rising)).clamp_(0, 1).mul_(256 - 1e-3).to(torch.uint8)
    # Which value R, G and B take.
    of_sector = torch.tensor([[0, 1, 2, 2, 3, 0], [3, 0, 0, 1, 2, 2], [2, 2, 3, 0, 0, 1]])
    return values.gather(0, of_sector[:, sector.to(torch.int64) % 6])


def pad(image: torch.Tensor, labels: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a normalized crop `side` x `side` by zeros, and its mask by void, at the right and at the bottom."""
    around = (0, side - labels.shape[1], 0, side - labels.shape[0])
    return F.pad(image, around), F.pad(labels, around, value=VOID)
