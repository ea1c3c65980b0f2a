"""From the first mask to token labels, and from token labels to masks."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def first_labels(mask: np.ndarray, grid: tuple[int, int]) -> Tensor:
    """Return the first frame's labels (h, w, C) float32: nearest-resized to the token grid, one-hot.

    C is the highest id that is left at token resolution plus one; an object that vanishes there cannot be followed.
    """
    tokens = np.asarray(Image.fromarray(mask).resize((grid[1], grid[0]), Image.Resampling.NEAREST))
    return F.one_hot(torch.from_numpy(tokens.astype(np.int64))).float()


def labels_to_mask(labels: Tensor, patch_size: int, size: tuple[int, int]) -> np.ndarray:
    """Turn soft labels (h, w, C) into ids (H, W) uint8 of the original `size` (docs/protocols.md, "DAVIS 2017")."""
    maps = labels.permute(2, 0, 1).unsqueeze(0).contiguous()
    maps = F.interpolate(maps, scale_factor=patch_size, mode="bilinear", align_corners=False)[0]
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    positive = high > 0
    # A channel that is positive and the same everywhere becomes 0 / 0 and so wins everywhere, as it should.
    maps = (maps - torch.where(positive, low, 0)) / torch.where(positive, high - low, 1)
    winner = maps.max(dim=0).indices  # many times faster than argmax over a leading dimension
    mask = Image.fromarray(winner.to(torch.uint8).cpu().numpy())
    return np.asarray(mask.resize((size[1], size[0]), Image.Resampling.NEAREST))
