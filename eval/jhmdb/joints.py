"""From joints to token labels and back (docs/protocols.md, "JHMDB")."""

import numpy as np
import torch
from torch import Tensor

SIGMA = 0.5  # of the bell that stands for a joint, in tokens
REACH = 3 * SIGMA
# 4 x 4 tokens, whose highest is the third of each direction: `size // 2` of a size that is no odd number.
_OFFSETS = np.arange(6 * SIGMA + 1) - (6 * SIGMA + 1) // 2
BELL = np.exp(-(_OFFSETS[:, None] ** 2 + _OFFSETS**2) / (2 * SIGMA**2))


def joint_labels(joints: np.ndarray, size: tuple[int, int], frame: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Return labels (h, w, 1 + joints) float32: where no joint is, and a bell for each one.

    A joint outside the grid has no bell, and is not followed.

    Args:
        joints: (joints, 2), x and y in pixels of the frame as it is on disk, counted from 0.
        size: its height and width.
        frame: height and width of the resized frame.
        grid: height and width in tokens.
    """
    maps = np.zeros((len(joints), *grid))
    patch = frame[0] // grid[0]
    for bell, (x, y) in zip(maps, joints):
        _stamp(bell, x * float(frame[1]) / float(size[1]) / patch, y * float(frame[0]) / float(size[0]) / patch)
    labels = torch.from_numpy(maps).float().permute(1, 2, 0)  # (h, w, joints)
    return torch.cat([(labels.sum(dim=-1, keepdim=True) == 0).float(), labels], dim=-1)


def _stamp(bell: np.ndarray, x: float, y: float) -> None:
    """Set the bell of a joint at (x, y) in tokens, as far as it is in the grid `bell` (h, w).

    Like the public code, whose int() cuts towards zero: left of the first token and above it a bell begins one token late.
    """
    left, top, right, bottom = int(x - REACH), int(y - REACH), int(x + REACH + 1), int(y + REACH + 1)
    height, width = bell.shape
    if left >= width or top >= height or right < 0 or bottom < 0:
        return
    rows, columns = slice(max(0, top), min(bottom, height)), slice(max(0, left), min(right, width))
    bell[rows, columns] = BELL[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def joint_places(labels: Tensor, size: tuple[int, int], tokens: int) -> np.ndarray:
    """Return the joints (joints, 2) float64 that labels (h, w, 1 + joints) tell of, x and y in pixels of a frame (H, W).

    A joint is at the mean of its `tokens` highest tokens, weighted by their labels; NaN where it has none.
    """
    height, width = labels.shape[:2]
    flat = labels[..., 1:].flatten(0, 1)  # (h w, joints)
    values, chosen = flat.topk(min(tokens, len(flat)), dim=0)  # (tokens, joints)
    values = values / values.sum(dim=0)
    x, y = (chosen % width * values).sum(dim=0), (chosen // width * values).sum(dim=0)
    places = torch.stack([x, y], dim=1)  # (joints, 2)
    places[flat.sum(dim=0) == 0] = torch.nan
    return places.cpu().double().numpy() / (width, height) * (size[1], size[0])
