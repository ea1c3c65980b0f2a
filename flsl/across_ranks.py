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


def rows_of_all_ranks(rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return the rows (no gradient), equally many on each rank, of all ranks in their order, and where this rank's begin."""
    if ranks_in_step() == 1:
        return rows, 0
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts), dist.get_rank() * len(rows)
