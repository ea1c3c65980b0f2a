"""What is needed next is loaded in threads, while what is there already is in use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TypeVar

from flsl.runtime.device import cores

T = TypeVar("T")
U = TypeVar("U")
AHEAD = 2  # batches that are loaded while one is in use


def load_ahead(
    load: Callable[[U], T], batches: Iterable[Iterable[U]], wait: Callable[[], AbstractContextManager] = nullcontext
) -> Iterator[list[T]]:
    """Yield what `load` returns for each item of each batch, waiting for it inside `wait()`; raises what `load` raises."""
    more = iter(batches)
    waiting: deque[list[Future[T]]] = deque()
    with ThreadPoolExecutor(cores()) as pool:
        try:
            while True:
                for batch in islice(more, AHEAD + 1 - len(waiting)):
                    waiting.append([pool.submit(load, item) for item in batch])
                if not waiting:
                    return
                with wait():
                    loaded = [future.result() for future in waiting.popleft()]
                yield loaded
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
