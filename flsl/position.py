"""Position tables of the encoder: the fixed sine-cosine table, and three ways to resize a table to another grid."""

import math
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


def shifted_sincos(embed_dim: int, grid: int, wanted: tuple[int, int], shift: torch.Tensor) -> torch.Tensor:
    """Return the sine-cosine code of places that are moved, `(B, rows * columns, D)` in float32.

    Args:
        embed_dim: a multiple of 4.
        grid: tokens along one side of the table that the encoder has; another grid is stretched to it.
        wanted: rows and columns.
        shift: `(B, 2)`, how far each image's columns (x) and rows (y) are moved, in tokens of the table. Where it is 0 and
            the grid is the table's, this is `sincos_table`.
    """
    quarter = embed_dim // 4
    exponents = torch.arange(quarter, device=shift.device, dtype=torch.float32) / quarter
    omega = torch.exp(-math.log(10000.0) * exponents)
    halves = []
    for side, moved in zip(wanted[::-1], shift.float().unbind(1)):
        places = (torch.arange(side, device=shift.device) + 0.5) * (grid / side) - 0.5
        angle = (places + moved[:, None])[..., None] * omega
        halves.append(torch.cat([angle.sin(), angle.cos()], dim=-1))  # (B, side, D / 2)
    columns = halves[0][:, None].expand(-1, wanted[0], -1, -1)
    rows = halves[1][:, :, None].expand(-1, -1, wanted[1], -1)
    return torch.cat([columns, rows], dim=-1).flatten(1, 2)


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


def is_plain(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor has its numbers one beside the other in memory: no sparse one, no mere shape."""
    return tensor.layout == torch.strided and not tensor.is_meta


def is_sincos(table: torch.Tensor, prefix_tokens: int = 0) -> bool:
    """Tell whether a position table `(1, prefix_tokens + g * g, D)` is `sincos_table`'s, to float16 precision."""
    if table.dim() != 3 or table.shape[1] < prefix_tokens or not table.is_floating_point() or not is_plain(table):
        return False
    side = round((table.shape[1] - prefix_tokens) ** 0.5)
    if table.shape[2] % 4 or side**2 + prefix_tokens != table.shape[1]:
        return False
    return torch.allclose(table.double(), sincos_table(table.shape[2], side, prefix_tokens), atol=1e-3, rtol=0)
