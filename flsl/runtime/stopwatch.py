"""Wall clock of a run and of its phases, and the memory of a process and its device at their peak."""

import contextlib
import math
import resource
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Stopwatch:
    """Wall clock of a run and of its phases. A GPU computes behind the program's back: a phase ends when the work that it
    gave to `device` is done."""

    def __init__(self, device: "torch.device | None" = None):
        self.start = time.perf_counter()
        self.device = device
        self.phases: dict[str, float] = {}
        self.whole = True  # whether all processes of the run are in it
        self._peaks = (0.0, 0.0)  # of earlier processes, MiB

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

    @property
    def peak_memory(self) -> float:
        """The largest resident memory of a process of the run so far, in MiB."""
        return max(self._peaks[0], peak_memory())

    @property
    def peak_device_memory(self) -> float | None:
        """The most memory that a process of the run held on its GPU so far, in MiB; None for a CPU."""
        return max(self._peaks[1], peak_device_memory(self.device) or 0) or None

    def tell(self) -> dict[str, Any]:
        """Return what `take_up` takes, as plain values."""
        peaks = [self.peak_memory, self.peak_device_memory or 0.0]
        return {"whole": self.whole, "seconds": self.seconds, "phases": self.phases, "peaks": peaks}

    def take_up(self, told: Any) -> None:
        """Go on from what an earlier process of the run told: seconds add up. Where it told nothing that can be, or itself
        missed one, `whole` is False from now on."""
        try:
            seconds, phases, peaks = told["seconds"], told["phases"], told["peaks"]
            self.whole &= told["whole"] is True
            if not all(0 <= number < math.inf for number in (seconds, *phases.values(), *peaks)):
                raise ValueError
            resident, on_device = map(float, peaks)
        except (TypeError, KeyError, ValueError, AttributeError):
            self.whole = False
            return
        self.start -= seconds
        self._peaks = (max(self._peaks[0], resident), max(self._peaks[1], on_device))
        for name, spent in phases.items():
            self.add(name, spent)

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
