"""Numbers of a step that belong to the whole batch, whatever ranks hold it; a single process needs no group."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

_alone = False


def ranks_in_step() -> int:
    """Return how many ranks share a step."""
    return 1 if _alone or not (dist.is_available() and dist.is_initialized()) else dist.get_world_size()


@contextmanager
def alone() -> Iterator[None]:
    """Make everything in here a step of this rank only, which waits for no other."""
    global _alone
    _alone = True
    try:
        yield
    finally:
        _alone = False


def mean_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """Return the mean of a tensor over all ranks (no gradient); the tensor itself in a single process."""
    if ranks_in_step() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


class _Sum(torch.autograd.Function):
    """The sum over ranks; each rank's part gets the gradients of all ranks' losses."""

    @staticmethod
    def forward(ctx: object, value: torch.Tensor) -> torch.Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def sum_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over all ranks, through which every rank's gradient reaches every rank.

    Where each rank has the mean loss of its own rows, or all have the loss of all rows, the gradients that data parallelism
    averages afterwards are those of one process with all rows.
    """
    return value if ranks_in_step() == 1 else _Sum.apply(value)


def rows_of_all_ranks(rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return the rows `(R, D)`, equally many on each rank, of all ranks in their order, and where this rank's begin.

    Gradients pass as in `sum_over_ranks`.
    """
    if ranks_in_step() == 1:
        return rows, 0
    first, count = dist.get_rank() * len(rows), dist.get_world_size() * len(rows)
    return sum_over_ranks(torch.nn.functional.pad(rows, (0, 0, first, count - first - len(rows)))), first
