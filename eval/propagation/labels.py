"""From the first mask to token labels, and from token labels to masks (docs/protocols.md, "DAVIS 2017")."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from eval.propagation.protocol import Protocol


def first_labels(mask: np.ndarray, grid: tuple[int, int], frame: tuple[int, int], protocol: Protocol) -> Tensor:
    """Return the first frame's labels (h, w, C) float32 from its ids (H, W) uint8.

    C is the highest id that is left plus one; an object that vanishes in resizing cannot be followed.

    Args:
        mask: ids.
        grid: height and width in tokens.
        frame: height and width of the resized frame; soft labels are those of the mask that was nearest-resized to it.
        protocol: says how: hard labels by a library's nearest neighbor, or soft ones by bilinear resizing of the objects.
    """
    if protocol.first_mask == "bilinear":
        pixels = cv2.resize(mask, (frame[1], frame[0]), interpolation=cv2.INTER_NEAREST)
        objects = F.one_hot(torch.from_numpy(pixels.astype(np.int64))).float().permute(2, 0, 1)[None]  # (1, C, H, W)
        return F.interpolate(objects, size=grid, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).contiguous()
    if protocol.first_mask == "nearest-exact":
        tokens = F.interpolate(torch.from_numpy(mask)[None, None], grid, mode="nearest-exact")[0, 0]
    else:
        tokens = torch.from_numpy(np.array(Image.fromarray(mask).resize((grid[1], grid[0]), Image.Resampling.NEAREST)))
    return F.one_hot(tokens.long()).float()


def with_channels(labels: Tensor, channels: int) -> Tensor:
    """Return labels (..., C) with so many channels, or as they are where they have as many: the new ones are 0."""
    return F.pad(labels, (0, max(channels - labels.shape[-1], 0)))


def join_labels(labels: Tensor, new: Tensor) -> Tensor:
    """Return labels (h, w, C) of a frame together with those of objects that are first given in it.

    Args:
        labels: (h, w, C), what was predicted of the others.
        new: (h, w, C), of the new objects; channel 0 is the share of a token that is none of theirs, and stays as predicted.
    """
    channels = max(labels.shape[-1], new.shape[-1])
    labels, new = with_channels(labels, channels), with_channels(new, channels)
    return torch.cat([torch.zeros_like(new[..., :1]), new[..., 1:]], dim=-1) + labels * new[..., :1]


def labels_to_mask(labels: Tensor, patch_size: int, size: tuple[int, int], protocol: Protocol) -> np.ndarray:
    """Turn soft labels (h, w, C) into ids (H, W) uint8 of the original `size`.

    They are enlarged, stretched channel by channel as the protocol says, the largest channel wins, and where they were
    enlarged by the patch size its id is nearest-resized to the original size.
    """
    maps = labels.permute(2, 0, 1).unsqueeze(0).contiguous()  # (1, C, h, w)
    if protocol.enlarged == "nearest":
        maps = F.interpolate(maps, size=size, mode="nearest")[0]  # (C, H, W)
    else:
        # (C, H, W), of the resized frame
        maps = F.interpolate(maps, scale_factor=patch_size, mode="bilinear", align_corners=False)[0]
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)  # (C, 1, 1)
    if protocol.stretched == "positive":
        positive = high > 0
        # A channel that is positive and the same everywhere becomes 0 / 0 and so wins everywhere, as it should.
        maps = (maps - torch.where(positive, low, 0)) / torch.where(positive, high - low, 1)
    elif protocol.stretched == "varied":
        maps = ((maps - low) / (high - low)).nan_to_num(nan=0)
    winner = maps.max(dim=0).indices  # many times faster than argmax over a leading dimension
    mask = winner.to(torch.uint8).cpu().numpy()
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST))
