"""The device that a command line names."""

import os
from typing import TYPE_CHECKING

from flsl.runtime.errors import UserError

if TYPE_CHECKING:
    import torch


def choose_device(name: str, local_rank: int | None = None) -> "torch.device":
    """Return the device that --device names.

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
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) if local_rank is None else local_rank)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name} cannot be used: {reason}. Try auto or cpu.") from error
    return device
