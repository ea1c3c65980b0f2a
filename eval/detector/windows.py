"""Attention inside windows, for images too large for global attention in every block.

Not part of the published recipe: a recipe that uses it says so in its protocol's name.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from flsl.encoder import Encoder


def windowed_taps(
    encoder: Encoder, images: Tensor, blocks: Sequence[int], window: int, global_blocks: Sequence[int]
) -> list[Tensor]:
    """Return `encoder.feature_maps(images, blocks, norm=False)`, with attention inside windows of tokens.

    Args:
        encoder: its class and register tokens, if any, join every window and are averaged afterwards.
        images: `(B, 3, H, W)`, sides multiples of the patch size.
        blocks: 0-based blocks to tap, ascending.
        window: side of a window in tokens. The grid is padded with zeros to whole windows.
        global_blocks: blocks that attend globally all the same.

    Returns:
        One `(B, D, H / patch, W / patch)` map a block.
    """
    rows, columns = images.shape[-2] // encoder.patch_size, images.shape[-1] // encoder.patch_size
    prefix = encoder.num_prefix_tokens
    tokens, maps = encoder.embed(images), []
    for index, block in enumerate(encoder.blocks[: max(blocks) + 1]):
        windows = tokens if index in global_blocks else _split(tokens, prefix, rows, columns, window)
        if encoder.grad_checkpointing and encoder.training:
            windows = checkpoint(block, windows, use_reentrant=False)
        else:
            windows = block(windows)
        tokens = windows if index in global_blocks else _join(windows, prefix, rows, columns, window)
        if index in blocks:
            maps.append(tokens[:, prefix:].transpose(1, 2).reshape(len(images), -1, rows, columns))
    return maps


def _split(tokens: Tensor, prefix: int, rows: int, columns: int, window: int) -> Tensor:
    """Cut `(B, prefix + rows * columns, D)` into `(B * windows, prefix + window ** 2, D)`, image by image."""
    batch, _, width = tokens.shape
    grid = tokens[:, prefix:].reshape(batch, rows, columns, width)
    grid = F.pad(grid, (0, 0, 0, -columns % window, 0, -rows % window))
    down, across = grid.shape[1] // window, grid.shape[2] // window
    grid = grid.reshape(batch, down, window, across, window, width).transpose(2, 3)
    patches = grid.reshape(batch * down * across, window * window, width)
    return torch.cat([tokens[:, :prefix].repeat_interleave(down * across, dim=0), patches], dim=1)


def _join(windows: Tensor, prefix: int, rows: int, columns: int, window: int) -> Tensor:
    """Undo `_split`; each image's prefix tokens are the mean over its windows."""
    down, across = -(-rows // window), -(-columns // window)
    width = windows.shape[-1]
    grid = windows[:, prefix:].reshape(-1, down, across, window, window, width).transpose(2, 3)
    grid = grid.reshape(-1, down * window, across * window, width)[:, :rows, :columns]
    prefixes = windows[:, :prefix].reshape(len(grid), down * across, prefix, width).mean(dim=1)
    return torch.cat([prefixes, grid.flatten(1, 2)], dim=1)
