"""Query sampling ("random pooling"): one token of each window of the token grid (docs/method.md, "Query sampling")."""

from typing import Literal

import torch

Sampling = Literal["stride", "random"]


def place_queries(grid: int, window: int, selections: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Turn one choice a window into token indices.

    Args:
        grid: tokens along a side of the view.
        window: tokens along a side of a window.
        selections: `(B, windows)` position chosen in each window, row-major inside it; windows in raster order.
        corners: `(B,)` corner that the covered block touches if the grid is no multiple of the window: 0 top left,
            1 top right, 2 bottom left, 3 bottom right.

    Returns:
        `(B, windows)` indices into the flattened grid, ascending.
    """
    side = grid // window
    slack = grid - side * window
    windows = torch.arange(side * side)
    rows = windows // side * window + selections // window + (corners // 2 * slack)[:, None]
    columns = windows % side * window + selections % window + (corners % 2 * slack)[:, None]
    return (rows * grid + columns).sort(dim=1).values


def draw_queries(batch: int, grid: int, window: int, mode: Sampling, generator: torch.Generator) -> torch.Tensor:
    """Draw query indices `(batch, windows)` of views with `grid * grid` tokens.

    `stride` takes each window's top-left token (the published settings), `random` any one (the paper). The corner is
    drawn with equal chance, for each view on its own, only where the grid is no multiple of the window.
    """
    windows = (grid // window) ** 2
    selections = torch.zeros(batch, windows, dtype=torch.long)
    if mode == "random":
        selections = torch.randint(window * window, (batch, windows), generator=generator)
    corners = torch.zeros(batch, dtype=torch.long)
    if grid % window:
        corners = torch.randint(4, (batch,), generator=generator)
    return place_queries(grid, window, selections, corners)
