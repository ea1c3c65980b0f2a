"""Process groups: torchrun and Slurm environments, and the data-parallel wrapper."""

import os
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from flsl.device import choose_device
from flsl.slurm import adopt_ranks


@dataclass(frozen=True)
class Ranks:
    """This process among all."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


def start_ranks(device: str = "auto") -> Ranks:
    """Join the process group that torchrun or Slurm describes (single process otherwise) and choose the device.

    Raises:
        UserError: the device is not there, or Slurm's tasks cannot meet.
    """
    adopt_ranks()
    rank, world, local = (int(os.environ.get(*k)) for k in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    chosen = choose_device(device, local)
    if world > 1 and not dist.is_initialized():
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=world)
    return Ranks(rank, world, chosen)


def data_parallel(module: nn.Module, ranks: Ranks) -> nn.Module:
    """Wrap a module so that gradients are averaged over ranks; unchanged in a single process.

    Buffers (the centre) are equal on all ranks by construction and are not broadcast.
    """
    if ranks.world == 1:
        return module
    devices = [ranks.device] if ranks.device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True)


def any_rank(flag: bool, ranks: Ranks) -> bool:
    """Return whether the flag is set on any rank; every rank must ask at the same step."""
    if ranks.world == 1:
        return flag
    value = torch.tensor(float(flag), device=ranks.device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value)


def stop_ranks() -> None:
    """Leave the process group, where there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
