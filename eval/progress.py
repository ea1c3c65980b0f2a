"""How far a long phase is: a bar that is redrawn in a terminal; elsewhere (logs) a plain line every ten seconds."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from shutil import get_terminal_size
from typing import TextIO, TypeVar

from flsl.runtime.text import clock

T = TypeVar("T")
U = TypeVar("U")
BAR = 20  # characters
TERMINAL, LOG = 0.5, 10.0  # seconds between two lines
_mark: ContextVar[str] = ContextVar("mark", default="")


class Progress:
    """The line of one phase, with its rate and the time that is left; a phase too short for a second look says nothing."""

    def __init__(self, what: str, total: int, done: int = 0, *, console: TextIO | None = None):
        """`what` names the phase, `total` counts its steps, of which `done` are done already. Without a console it is
        stderr, which leaves standard output to results."""
        console = console or sys.stderr
        self.console, self.what, self.total, self.first = console, _mark.get() + what, total, done
        self.start = self.shown = time.perf_counter()
        self.terminal = console.isatty()
        self.drawn = False

    def update(self, done: int, text: str = "") -> None:
        """Show that `done` steps are done; prints at most as often as a reader needs."""
        now, last = time.perf_counter(), done >= self.total
        if now - self.shown < (TERMINAL if self.terminal else LOG) and not (last and self.drawn):
            return
        self.shown, self.drawn = now, True
        each = (now - self.start) / max(done - self.first, 1)
        rate = f"{each:.2f} s each" if each >= 0.1 else f"{1 / max(each, 1e-9):.0f} per s"
        line = f"{self.what} {done}/{self.total}  {text}{rate}  {clock(each * (self.total - done))} left"
        if not self.terminal:
            print(line, file=self.console, flush=True)
            return
        filled = BAR * done // max(self.total, 1)
        bar = f"[{'=' * filled}{' ' * (BAR - filled)}] "
        shown = (bar + line)[: get_terminal_size().columns - 1]  # a line that wraps could not be redrawn
        print(f"\r\x1b[K{shown}", end="\n" if last else "", file=self.console, flush=True)

    def say(self, text: str) -> None:
        """Print a line on standard output that stays, above the bar."""
        if self.terminal and self.drawn:
            print("\r\x1b[K", end="", file=self.console, flush=True)
        print(text, flush=True)


def tracked(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield the items, showing on stderr how far they are; one counts when the next is asked for."""
    progress = Progress(what, total)
    for done, item in enumerate(items, start=1):
        yield item
        progress.update(done)


def counted(function: Callable[[U], T], what: str, total: int) -> Callable[[U], T]:
    """Return a function that shows on stderr how many of its `total` calls are done."""
    progress, calls = Progress(what, total), count(1)

    def call(value: U) -> T:
        result = function(value)
        progress.update(next(calls))
        return result

    return call


@contextmanager
def marked(word: str) -> Iterator[None]:
    """Let the lines of every phase inside begin with a word that tells them from a run's own, such as `probe`."""
    token = _mark.set(f"{word}: ")
    try:
        yield
    finally:
        _mark.reset(token)
