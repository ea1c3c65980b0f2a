"""Signals that ask a long run to save its state and stop; Slurm sends one before a job's time ends."""

import multiprocessing
import os
import signal
import threading
import time
from types import FrameType

SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
GRACE = 10  # seconds
PREEMPTED = 75  # exit code of a run that was asked to stop: its state is saved, the same command continues it


class Preempted(Exception):
    """A run was asked to stop, and has saved what it needs to go on. Programs print it and exit with `PREEMPTED`."""


class StopSignal:
    """While entered, `requested` tells whether one of `SIGNALS` or Ctrl-C has come; afterwards they do what they did before.

    A second Ctrl-C interrupts at once, as ever. Who ignores it, as a shell's jobs in the background do, goes on ignoring it.

    Inside of another one it tells what that one hears: who watches a part of a run keeps no signal from the whole.

    One of several processes is also asked to stop where the program that started them is gone: torchrun itself dies of
    SIGUSR1 and hands nothing on.
    """

    def __init__(self):
        self._noted = False
        self._whole: StopSignal | None = None
        self._starter = os.getppid() if "LOCAL_RANK" in os.environ else None

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        noted = self._noted if self._whole is None else self._whole.requested
        return noted or self._starter not in (None, os.getppid())

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = True
        if number == signal.SIGINT:
            signal.signal(number, self._before["SIGINT"])
            if os.environ.get("RANK", "0") == "0":  # past Python's own streams, which may be in the middle of a line
                os.write(2, b"\nstopping once it is saved (Ctrl-C again: at once)\n")

    def __enter__(self) -> "StopSignal":
        """Listen; only a process's main thread can."""
        around = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        self._whole = around if isinstance(around, StopSignal) else None
        here = self._whole is None and threading.current_thread() is threading.main_thread()
        interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        names = ((*SIGNALS, "SIGINT") if interrupts else SIGNALS) if here else ()
        self._before = {name: signal.signal(getattr(signal, name), self._note) for name in names}
        return self

    def __exit__(self, *error: object) -> None:
        """Listen no longer."""
        for name, handler in self._before.items():
            signal.signal(getattr(signal, name), handler or signal.SIG_DFL)


def leave_signals_to_the_main_process(worker: int = 0) -> None:
    """In a data loader's process, whatever its number, leave signals to the process that it works for, and end when that is gone.

    SIGTERM comes from Slurm to every process of a job, and from the main process to a worker that it no longer needs. So a
    worker goes on for a while, in which the main process can finish its step and save, and then ends.
    """
    for name in ("SIGUSR1", "SIGUSR2", "SIGINT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
    end_with_the_main_process()


def end_with_the_main_process() -> None:
    """Let this process, which `multiprocessing` started, end soon after the one that started it, however that ends: a worker
    would finish what it has, beside a run that took the place of its own, and then wait for more forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.pid,), daemon=True).start()


def _end_with(parent: int | None) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
