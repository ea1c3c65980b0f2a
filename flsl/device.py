"""The device that a command line names."""

from typing import TYPE_CHECKING

from flsl.errors import UserError

if TYPE_CHECKING:
    import torch


def choose_device(name: str, local_rank: int = 0) -> "torch.device":
    """Return the device that --device names; `auto` is this rank's GPU where there is one, else the CPU.

    Raises:
        UserError: the name is unknown or the device is not there.
    """
    import torch  # takes seconds: not before a device is really needed

    if name == "auto":
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name} cannot be used: {reason}. Try auto or cpu.") from error
    return device
