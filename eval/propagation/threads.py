"""Threads that each run torch operations on one core, and the memory that they hold."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_cores: list[int] = []  # of the outermost `one_thread_each` that is active


@contextmanager
def one_thread_each() -> Iterator[int]:
    """While this lasts, torch uses one core for an operation; yields how many threads may then run side by side.

    Many medium-sized operations finish sooner in threads of their own than spread over all cores one after the other,
    since no core has to wait for the others at the end of each. Contexts may be nested.
    """
    if _cores:
        yield _cores[-1]
        return
    threads = torch.get_num_threads()
    _cores.append(threads)
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
        _cores.pop()


def return_large_blocks() -> None:
    """Let memory of half a MiB and more go back to the system as soon as it is freed, where the C library is glibc.

    By itself each thread would keep what it once used, for an encoder hundreds of MiB.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**19)
    except (AttributeError, OSError, TypeError):  # another C library
        return
