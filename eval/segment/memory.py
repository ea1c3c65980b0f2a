"""The memory of in-context segmentation: tokens of training images with the classes of the pixels that they cover."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flsl.confusion import VOID


@dataclass(frozen=True)
class Memory:
    """Features (m, D) of float16 or float32, and the pixels of each class under each, (m, C) int16.

    `lengths` (m,) float32 are those of the features; None where they have length 1 already.
    """

    features: Tensor
    labels: Tensor
    lengths: Tensor | None = None

    def to(self, device: torch.device) -> "Memory":
        """Return the memory on a device."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Memory(self.features.to(device), self.labels.to(device), lengths)

    def shares(self, which: Tensor) -> Tensor:
        """Return class shares (..., C) float32 of entries (...)."""
        found = self.labels[which].float()
        return found / found.sum(dim=-1, keepdim=True).clamp(min=1)


def patch_classes(masks: np.ndarray, patch_size: int, classes: int) -> np.ndarray:
    """Count the pixels of each class under each token.

    Args:
        masks: (n, H, W) class of each pixel, sides multiples of the patch; VOID counts as class 0, as in the public code.
        patch_size: side of a token in pixels.
        classes: number of classes.

    Returns:
        (n, tokens, classes) int16, tokens in raster order.
    """
    count, height, width = masks.shape
    rows, columns = height // patch_size, width // patch_size
    known = np.where(masks == VOID, 0, masks).astype(np.int64)
    pixels = known.reshape(count, rows, patch_size, columns, patch_size).transpose(0, 1, 3, 2, 4)
    pixels = pixels.reshape(count * rows * columns, patch_size**2)
    cells = np.arange(len(pixels))[:, None] * classes + pixels
    found = np.bincount(cells.ravel(), minlength=len(pixels) * classes)
    return found.astype(np.int16).reshape(count, rows * columns, classes)


def sample_order(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the tokens (tokens,) int64 of an image in the order in which a bounded memory takes them.

    A token's score is a uniform number times the summed frequency of its classes, a class's frequency being the number of
    tokens of the image that hold it: rare classes come first. A smaller memory has the beginning of the same order.

    Args:
        labels: (tokens, classes), from `patch_classes`.
        random: draws the uniform numbers.
    """
    held = labels > 0
    frequency = held.sum(axis=0)
    return np.argsort(random.random(len(labels)) * (held @ frequency), kind="stable")


def lengths_of(features: Tensor) -> Tensor:
    """Return the length (m,) float32 of each feature (m, D); 1 for one of zeros."""
    parts = [part.float().norm(dim=1) for part in features.split(1 << 18)]
    lengths = torch.cat(parts) if parts else torch.zeros(0)
    return torch.where(lengths > 0, lengths, torch.ones_like(lengths))
