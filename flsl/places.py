"""Where tokens of a student's view lie in the teacher's view, and the teacher's tokens there."""

import torch
import torch.nn.functional as F

from flsl.random_crop import Box


def places_in_teacher(
    queries: torch.Tensor, grid: int, box: Box, size: int, flip: bool, flip_teacher: bool
) -> torch.Tensor:
    """Return the centers of tokens in the coordinates of the teacher's view, -1 to 1 between its edges.

    Args:
        queries: (Q,) token indices in raster order.
        grid: tokens along a side of the student's view.
        box: of the student's view in the teacher's crop, in pixels, before either is flipped.
        size: side of the teacher's view in pixels.
        flip: whether the student's view is flipped.
        flip_teacher: whether the teacher's is.

    Returns:
        (Q, 2) x and y, float32; a bilinear sample there (`align_corners=False`) is of the same place.
    """
    x, y = ((queries % grid) + 0.5) / grid, ((queries // grid) + 0.5) / grid
    left, top, right, bottom = (side / size for side in box)
    x = left + (1 - x if flip else x) * (right - left)
    y = top + y * (bottom - top)
    return torch.stack([1 - x if flip_teacher else x, y], dim=-1) * 2 - 1


def tokens_at(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Interpolate tokens `(B, N, D)` of square views at `places` `(B, Q, 2)`; returns `(B, Q, D)`."""
    side = round(tokens.shape[1] ** 0.5)
    maps = tokens.transpose(1, 2).unflatten(2, (side, side))
    found = F.grid_sample(maps, places[:, None], padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)
