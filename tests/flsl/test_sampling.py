"""Queries: one token of each window, its top left one or any, and where the windows lie if they do not fill the grid."""

import pytest
import torch

from flsl.sampling import draw_queries


def drawn(grid, window, mode, batch=400):
    """Rows and columns (batch, windows) of queries."""
    indices = draw_queries(batch, grid, window, mode, torch.Generator().manual_seed(0))
    assert (indices.diff(dim=1) > 0).all()
    return indices // grid, indices % grid


def test_a_stride_takes_the_top_left_token_of_each_window():
    rows, columns = drawn(12, 3, "stride", batch=2)
    assert rows.tolist() == [[0] * 4 + [3] * 4 + [6] * 4 + [9] * 4] * 2
    assert columns.tolist() == [[0, 3, 6, 9] * 4] * 2


@pytest.mark.parametrize(("grid", "window"), [(14, 3), (6, 2)])
def test_random_queries_take_every_token_of_a_window_alike(grid, window):
    """The covered block touches one of four corners, each in a quarter of the draws."""
    slack = grid % window
    stride_rows, stride_columns = drawn(grid, window, "stride")
    corners = stride_rows[:, 0] // max(slack, 1) * 2 + stride_columns[:, 0] // max(slack, 1)
    shares = torch.bincount(corners, minlength=4) / len(corners)
    assert shares.tolist() == (pytest.approx([0.25] * 4, abs=0.06) if slack else [1, 0, 0, 0])
    rows, columns = drawn(grid, window, "random")
    seen = torch.bincount((rows * grid + columns).flatten(), minlength=grid**2) / len(rows)
    inside = seen.unflatten(0, (grid, grid))[
        slack : grid - slack, slack : grid - slack
    ]  # covered wherever the block is
    assert inside.mean().item() == pytest.approx(1 / window**2, rel=0.05)
    assert inside.std() < 0.03
    assert seen.sum().item() == pytest.approx((grid // window) ** 2)
