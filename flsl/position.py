"""Position tables of the encoder: the fixed sine-cosine table, and both ways to resize a table to another grid."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

Interpolation = Literal["dino", "size", "size_plain"]


def sincos_table(embed_dim: int, grid: int, prefix_tokens: int = 0) -> torch.Tensor:
    """Return the 2-d sine-cosine table `(1, prefix_tokens + grid * grid, embed_dim)` in float64.

    The first half of the channels encodes the column (x), the second half the row (y); inside each half sines come
    before cosines, with omega_i = 10000 ** (-i / (embed_dim / 4)) (docs/method.md, "Encoder"). A class token's row is
    zeros, in front.

    Raises:
        ValueError: `embed_dim` is no multiple of 4.
    """
    if embed_dim % 4:
        raise ValueError(f"a sine-cosine table needs a width that is a multiple of 4, not {embed_dim}")
    quarter = embed_dim // 4
    omega = 10000.0 ** (-np.arange(quarter, dtype=np.float64) / quarter)
    row, column = np.divmod(np.arange(grid * grid), grid)
    halves = []
    for coordinate in (column, row):
        angle = coordinate[:, None] * omega[None]
        halves += [np.sin(angle), np.cos(angle)]
    table = np.concatenate(halves, axis=1)
    table = np.concatenate([np.zeros((prefix_tokens, embed_dim)), table])
    return torch.from_numpy(table)[None]


def resize_positions(
    table: torch.Tensor, grid: tuple[int, int], prefix_tokens: int = 0, method: Interpolation = "dino"
) -> torch.Tensor:
    """Resize a position table to another token grid; differentiable.

    Args:
        table: `(1, prefix_tokens + g * g, D)`; its patch rows form a square grid.
        grid: wanted rows and columns.
        prefix_tokens: leading rows (class token) that are passed through unchanged.
        method: `dino` resizes bicubically by the scale factor (wanted + 0.1) / g, as FLSL and DINO do; `size` resizes
            to the target size with antialiasing, as timm does. `size_plain` is the target size without
            antialiasing, as MAE and Hugging Face's ViT do. They differ (docs/method.md, "Encoder").

    Returns:
        `(1, prefix_tokens + rows * columns, D)`; the table itself where the grid does not change.
    """
    rows, columns = grid
    side = round((table.shape[1] - prefix_tokens) ** 0.5)
    if (rows, columns) == (side, side):
        return table
    prefix, patches = table[:, :prefix_tokens], table[:, prefix_tokens:]
    patches = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if method == "dino":
        scale = ((rows + 0.1) / side, (columns + 0.1) / side)
        patches = F.interpolate(patches, scale_factor=scale, mode="bicubic", align_corners=False)
    else:
        patches = F.interpolate(patches, size=grid, mode="bicubic", align_corners=False, antialias=method == "size")
    return torch.cat([prefix, patches.flatten(2).transpose(1, 2)], dim=1)


def is_sincos(table: torch.Tensor, prefix_tokens: int = 0) -> bool:
    """Tell whether a position table `(1, prefix_tokens + g * g, D)` is `sincos_table`'s, to float16 precision."""
    if table.dim() != 3 or table.shape[1] < prefix_tokens:
        return False
    side = round((table.shape[1] - prefix_tokens) ** 0.5)
    if table.shape[2] % 4 or side**2 + prefix_tokens != table.shape[1]:
        return False
    return torch.allclose(table.double(), sincos_table(table.shape[2], side, prefix_tokens), atol=1e-3, rtol=0)
