"""The environment variables by which torchrun, `python -m flsl launch` or srun tell a process which of how many it is."""

import os

from flsl.runtime.errors import UserError

MOST = 2**31 - 1  # that torch can count
MEETING = ("MASTER_ADDR", "MASTER_PORT")
_REMEDY = "torchrun, `python -m flsl launch` and Slurm set it: start processes by one of these, or unset it."


def number(name: str, default: int | None, least: int = 0, most: int = MOST) -> int:
    """Return the whole number in an environment variable, the default where it is not set (None: it has to be).

    Raises:
        UserError: it holds something else, or is out of bounds.
    """
    text = os.environ.get(name, "" if default is None else str(default))
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        bounds = f"{least} or more" if most == MOST else f"{least} to {most}"
        raise UserError(f"{name} is {text!r:.40}, but expected is a whole number, {bounds}. {_REMEDY}")
    return value


def rank_and_world() -> tuple[int, int]:
    """Return this process's number and how many there are: 0 and 1 where nothing is set.

    Raises:
        UserError: one of the variables is no such number, there is no rank of that number, or several processes have none.
    """
    world = number("WORLD_SIZE", 1, least=1)
    for name, meaning in (("RANK", "among them"), ("LOCAL_RANK", "on its machine")):
        if world > 1 and name not in os.environ:
            raise UserError(
                f"WORLD_SIZE={world} is set, but not {name}, the number of this process {meaning}. {_REMEDY}"
            )
    for name, least in (("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1)):  # before any work, whoever asks for them later
        number(name, least, least)
    rank = number("RANK", 0)
    if rank >= world:
        raise UserError(f"RANK={rank} is set, but the last rank of WORLD_SIZE={world} is {world - 1}. {_REMEDY}")
    return rank, world


def require_meeting(started: str) -> None:
    """Raise UserError where nothing says at which address processes meet; `started` begins the sentence, how many there are."""
    if missing := [name for name in MEETING if name not in os.environ]:
        raise UserError(
            f"{started}, but {' and '.join(missing)} is not set, so they cannot meet. Export the first node's name and a "
            "free port (torchrun and `python -m flsl launch` do), or let --launcher slurm submit the run."
        )
    number("MASTER_PORT", None, least=1, most=2**16 - 1)
