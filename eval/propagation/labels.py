"""From the first mask to token labels, and from token labels to masks (docs/protocols.md, "DAVIS 2017")."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def first_labels(mask: np.ndarray, grid: tuple[int, int], frame: tuple[int, int] | None = None) -> Tensor:
    """Return the first frame's labels (h, w, C) float32 from its ids (H, W) uint8.

    C is the highest id that is left plus one; an object that vanishes in resizing cannot be followed.

    Args:
        mask: ids.
        grid: height and width in tokens.
        frame: height and width of the resized frame: the mask is nearest-resized to it, and its objects bilinearly to the
            grid, which gives soft labels. None gives hard ones: nearest-resized to the grid.
    """
    if frame is None:
        tokens = np.asarray(Image.fromarray(mask).resize((grid[1], grid[0]), Image.Resampling.NEAREST))
        return F.one_hot(torch.from_numpy(tokens.astype(np.int64))).float()
    pixels = cv2.resize(mask, (frame[1], frame[0]), interpolation=cv2.INTER_NEAREST)
    objects = F.one_hot(torch.from_numpy(pixels.astype(np.int64))).float().permute(2, 0, 1)[None]  # (1, C, H, W)
    return F.interpolate(objects, size=grid, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).contiguous()


def labels_to_mask(labels: Tensor, patch_size: int, size: tuple[int, int], *, stretched: bool = True) -> np.ndarray:
    """Turn soft labels (h, w, C) into ids (H, W) uint8 of the original `size`.

    They are enlarged bilinearly by the patch size, `stretched` to 0..1 channel by channel (one without a positive value is
    left alone), the largest channel wins, and its id is nearest-resized to the original size.
    """
    maps = labels.permute(2, 0, 1).unsqueeze(0).contiguous()  # (1, C, h, w)
    maps = F.interpolate(maps, scale_factor=patch_size, mode="bilinear", align_corners=False)[0]  # (C, H, W), resized
    if stretched:
        low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)  # (C, 1, 1)
        positive = high > 0
        # A channel that is positive and the same everywhere becomes 0 / 0 and so wins everywhere, as it should.
        maps = (maps - torch.where(positive, low, 0)) / torch.where(positive, high - low, 1)
    winner = maps.max(dim=0).indices  # many times faster than argmax over a leading dimension
    mask = Image.fromarray(winner.to(torch.uint8).cpu().numpy())
    return np.asarray(mask.resize((size[1], size[0]), Image.Resampling.NEAREST))
