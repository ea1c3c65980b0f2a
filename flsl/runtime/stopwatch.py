"""Wall clock of a run and of its phases, and the memory of a process and its device at their peak."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Stopwatch:
    """Wall clock of a run and of its phases. A GPU computes behind the program's back: a phase ends when the work that it
    gave to `device` is done."""

    def __init__(self, device: "torch.device | None" = None):
        self.start = time.perf_counter()
        self.device = device
        self.phases: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the watch was made."""
        return time.perf_counter() - self.start

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the phase `name`."""
        start = time.perf_counter()
        try:
            yield
            wait_for(self.device)
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere to the phase `name`."""
        self.phases[name] = self.phases.get(name, 0.0) + seconds

    def reach(self, name: str, seconds: float) -> None:
        """Let the phase `name` have taken so many seconds in all, what this watch has not seen of them in earlier processes."""
        earlier = max(seconds - self.phases.get(name, 0.0), 0.0)
        self.start -= earlier
        self.add(name, earlier)


def wait_for(device: "torch.device | None") -> None:
    """Wait until a GPU has done all that it was given; a CPU always has."""
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def peak_device_memory(device: "torch.device | None") -> float | None:
    """Return the most memory that this process held on a GPU so far, in MiB; None for a CPU."""
    if device is None or device.type != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_reserved(device) / 2**20


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
