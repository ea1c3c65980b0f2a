"""Several processes, one a GPU, started by torchrun; without torchrun every function here does nothing."""

import os
from typing import Any

import torch
from mmengine import dist

from flsl.errors import UserError


def world_size() -> int:
    """Return the number of processes that torchrun started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def join(device: torch.device) -> None:
    """Join the process group that torchrun announced in the environment.

    `device` is this process's own (`flsl.device.choose_device`): two processes cannot share a GPU.
    """
    if world_size() == 1 or dist.is_distributed():
        return
    # Not mmengine's init_dist, which wants a GPU in any case.
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")


def is_main() -> bool:
    """Tell whether this process is the one that writes files."""
    return dist.is_main_process()


def wait() -> None:
    """Wait until every process is here."""
    dist.barrier()


def share(batch: int) -> int:
    """Return each process's part of a global batch.

    Raises:
        UserError: the batch cannot be divided by the number of processes.
    """
    world = world_size()
    if batch % world:
        raise UserError(
            f"training.batch={batch} cannot be shared by {world} processes. "
            f"--set training.batch={max(batch // world, 1) * world} (the learning rate follows)."
        )
    return batch // world


def gather(items: list[Any]) -> list[Any]:
    """Return every process's items, in the order of processes."""
    if world_size() == 1:
        return items
    return [item for part in dist.all_gather_object(items) for item in part]
