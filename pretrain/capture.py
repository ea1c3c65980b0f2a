"""A step that is recorded once and replayed: one CUDA graph instead of thousands of launches.

A replay runs the recorded operations on the recorded memory: whatever changes from step to step is a tensor that is
filled beforehand, and whatever the host decided while recording stays decided.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch

from flsl.runtime.errors import UserError, is_out_of_memory

T = TypeVar("T")
Run = Callable[[Sequence[torch.Tensor]], dict[str, torch.Tensor]]
Keep = Callable[[], Callable[[], None]]
WARM_UP = 3  # runs that find kernels, allocate states and compile what is compiled
Record = Callable[[Callable[[], T]], tuple[Callable[[], None], T]]


class Captured:
    """A function of tensors that changes a state in place, recorded for one shape of inputs at a time."""

    def __init__(self, record: Record):
        """Nothing is recorded yet. `record` runs a function while recording it; returns the replay and what the function
        returned."""
        self.record = record
        self.key: Hashable = None
        self.recorded: Any = None

    def __call__(self, inputs: Sequence[torch.Tensor], run: Run, keep: Keep, key: Hashable) -> dict[str, torch.Tensor]:
        """Return the scalars that `run` returns for some inputs; it is called only where nothing like it is recorded.

        Args:
            inputs: tensors on the device.
            run: a function of such tensors, which draws no random numbers and never waits for the device.
            keep: copies the state that `run` changes, and returns the function that puts it back. Neither stays here: what
                they belong to may own this, and would keep itself, and all the memory of the recording, for long.
            key: stands for all that the host decides in it.
        """
        key = (key, *((t.shape, t.dtype) for t in inputs))
        if key != self.key:
            self._record(inputs, run, keep)
            self.key = key
        static, replay, names, scalars = self.recorded
        torch._foreach_copy_(static, list(inputs))
        replay()
        return dict(zip(names, scalars.clone().unbind()))

    def _record(self, inputs: Sequence[torch.Tensor], run: Run, keep: Keep) -> None:
        """Record `run`; the state is afterwards what it was.

        Raises:
            UserError: it cannot be recorded.
        """
        self.recorded = None  # the memory of an earlier recording is free
        static = [t.clone() for t in inputs]
        put_back = keep()

        def compute() -> tuple[list[str], torch.Tensor]:
            scalars = run(static)
            wide = next(iter(scalars.values())).dtype
            return list(scalars), torch.stack([value.to(wide) for value in scalars.values()])

        try:
            replay, (names, scalars) = self.record(compute)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise UserError(
                f"the training step cannot be recorded as a CUDA graph: {str(error).splitlines()[0]}. It runs without one by "
                "--set runtime.cuda_graph=False, and, if that says the same, uncompiled by --set runtime.compile=False."
            ) from error
        self.recorded = static, replay, names, scalars
        put_back()


def record_on_gpu(run: Callable[[], T]) -> tuple[Callable[[], None], T]:
    """Record a function as a CUDA graph, after some runs that count for nothing."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # The loader's thread pins memory meanwhile, which only this thread's recording must not do.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        returned = run()
    return graph.replay, returned
