"""Projection heads of methods that look at whole images: linear layers with batch normalization over all ranks."""

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from flsl.across_ranks import ranks_in_step, sum_over_ranks
from flsl.model import at_least_float32


class BatchNorm(nn.Module):
    """Batch normalization of rows `(R, D)` by the statistics of all ranks' rows. There are no running statistics: a
    projection head is only used in training."""

    def __init__(self, dim: int, affine: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim)) if affine else None
        self.bias = nn.Parameter(torch.zeros(dim)) if affine else None

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return normalized rows, at least float32."""
        rows = at_least_float32(rows)
        centered = rows - sum_over_ranks(rows.mean(0)) / ranks_in_step()
        variance = sum_over_ranks(centered.square().mean(0)) / ranks_in_step()
        normalized = centered * torch.rsqrt(variance + 1e-5)
        return normalized if self.weight is None or self.bias is None else normalized * self.weight + self.bias


def projector(dims: Sequence[int], last_norm: bool) -> nn.Sequential:
    """Return linear layers without bias from `dims[0]` to `dims[-1]`, batch normalization and ReLU between them and, if
    asked for, a batch normalization without weights after the last."""
    modules: list[nn.Module] = []
    for before, after in itertools.pairwise(dims):
        modules += [nn.Linear(before, after, bias=False), BatchNorm(after), nn.ReLU()]
    return nn.Sequential(*modules[:-2], *([BatchNorm(dims[-1], affine=False)] if last_norm else []))
