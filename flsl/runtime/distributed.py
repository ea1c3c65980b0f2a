"""Process groups: the ranks that torchrun or Slurm started, and what they tell each other.

Without either, every function here is that of a single process and needs no group.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from flsl.runtime.device import choose_device
from flsl.runtime.errors import SaidElsewhere, UserError
from flsl.runtime.rank_variables import MEETING, number, rank_and_world, require_meeting
from flsl.runtime.slurm import adopt_ranks

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")
PATIENCE = timedelta(minutes=30)  # that ranks wait for one that lists a million images or writes to a slow disk
_words: Any = None  # the group in which processes exchange words, by the CPU; None is torch's default group


def _cpu() -> "torch.device":
    import torch

    return torch.device("cpu")


@dataclass(frozen=True)
class Ranks:
    """This process among all."""

    rank: int = 0
    world: int = 1
    device: "torch.device" = field(default_factory=_cpu)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


def start_ranks(device: str = "auto") -> Ranks:
    """Join the process group that torchrun or Slurm describes (single process otherwise) and choose the device.

    Joining again is allowed. Each process has a GPU of its own, unless a machine has fewer than processes and all are told
    one of them (`cuda:0`): then they share it, and talk by the CPU.

    Raises:
        UserError: the device is not there, the environment says no number or place that can be, or the processes cannot meet.
    """
    import torch
    import torch.distributed as dist

    adopt_ranks()
    chosen = choose_device(device)
    if world_size() > 1 and not dist.is_initialized():
        require_meeting(f"{world_size()} processes are to share the work (WORLD_SIZE)")
        own_gpu = chosen.type == "cuda" and torch.cuda.device_count() >= number("LOCAL_WORLD_SIZE", 1, least=1)
        own = chosen if own_gpu else None
        backend = "gloo" if own is None else "nccl"
        try:
            dist.init_process_group(backend, rank=this_rank(), world_size=world_size(), timeout=PATIENCE, device_id=own)
        except (dist.DistNetworkError, dist.DistStoreError) as error:
            place = " ".join(f"{name}={os.environ[name]!r:.80}" for name in MEETING)
            reason = str(error).strip().split("\n")[0]
            raise UserError(
                f"{world_size()} processes cannot meet at {place} ({reason:.160}). Name the first node and a port that is free there."
            ) from error
        global _words
        _words = dist.new_group(backend="gloo", timeout=PATIENCE) if backend != "gloo" else None
    return Ranks(this_rank(), world_size(), chosen)


def stop_ranks() -> None:
    """Leave the process group, where there is one."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        global _words
        dist.destroy_process_group()
        _words = None


def this_rank() -> int:
    """Return this process's number."""
    return rank_and_world()[0]


def world_size() -> int:
    """Return how many processes there are."""
    return rank_and_world()[1]


def is_main() -> bool:
    """Tell whether this process is the one that writes files and prints."""
    return this_rank() == 0


def wait() -> None:
    """Wait until every process is here."""
    if world_size() > 1:
        import torch.distributed as dist

        dist.barrier()


def any_rank(flag: bool) -> bool:
    """Return whether the flag is set on any rank; every rank must ask at the same step. Nothing waits for a GPU."""
    if world_size() == 1:
        return flag
    import torch
    import torch.distributed as dist

    value = torch.tensor(float(flag))
    dist.all_reduce(value, op=dist.ReduceOp.MAX, group=_words)
    return bool(value)


def gather(items: list[Any]) -> list[Any]:
    """Return every process's items, in the order of processes."""
    if world_size() == 1:
        return items
    import torch.distributed as dist

    parts: list[list[Any]] = [[] for _ in range(world_size())]
    dist.all_gather_object(parts, items, group=_words)
    return [item for part in parts for item in part]


def on_main(decide: Callable[[], T]) -> T:
    """Call a function on the main process only; every process gets what it returned.

    Raises:
        UserError: raised by `decide`; the other processes stop too, silently.
    """
    if world_size() == 1:
        return decide()
    import torch.distributed as dist

    error: BaseException | None = None
    shared: list[Any] = [None, False]
    if is_main():
        try:
            shared = [decide(), False]
        except BaseException as raised:  # the others must not wait for an answer that never comes
            error, shared = raised, [None, True]
    dist.broadcast_object_list(shared, src=0, group=_words)
    if error is not None:
        raise error
    if shared[1]:
        raise SaidElsewhere
    return shared[0]


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


def data_parallel(module: "nn.Module", ranks: Ranks) -> "nn.Module":
    """Wrap a module so that gradients are averaged over ranks; unchanged in a single process.

    Buffers (the center) are equal on all ranks by construction and are not broadcast.
    """
    if ranks.world == 1:
        return module
    from torch.nn.parallel import DistributedDataParallel

    devices = [ranks.device] if ranks.device.type == "cuda" else None
    with warnings.catch_warnings():
        # Newer releases name a successor of `broadcast_buffers`, which older ones lack and which broadcasts at the start.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            module, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
        )
