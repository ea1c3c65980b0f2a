"""The device that a command line names."""

import os
from typing import TYPE_CHECKING

from flsl.runtime.errors import UserError
from flsl.runtime.precision import allow_tf32
from flsl.runtime.rank_variables import number

if TYPE_CHECKING:
    import torch


def choose_device(name: str, local_rank: int | None = None) -> "torch.device":
    """Return the device that --device names, and make a GPU this process's own: what asks for "cuda" later gets it.

    Float32 products keep all their bits until a recipe's precision says otherwise (`flsl.runtime.precision`).

    Args:
        name: `auto` is this rank's GPU where there is one, else the CPU; `cuda` is this rank's GPU; any other name is taken
            as it stands.
        local_rank: this process's number on its machine; None asks torchrun's environment (0 without torchrun).

    Raises:
        UserError: the name is unknown or the device is not there.
    """
    import torch  # takes seconds: not before a device is really needed

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", number("LOCAL_RANK", 0) if local_rank is None else local_rank)
        torch.empty(1, device=device)
        if device.type == "cuda":
            torch.cuda.set_device(device)
            allow_tf32(False)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name} cannot be used: {reason}. Try auto or cpu.") from error
    return device


def cores() -> int:
    """Return how many cores this process may use, its share where a launcher started several on this machine."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(available // number("LOCAL_WORLD_SIZE", 1, least=1), 1)
