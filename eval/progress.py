"""How far a long phase is: one line, rewritten in a terminal, a new one every ten seconds elsewhere."""

import sys
import time
from typing import TextIO

from flsl.runtime.text import clock


class Progress:
    """The line of one phase, with its rate and the time that is left."""

    def __init__(self, console: TextIO, what: str, total: int, done: int = 0):
        """`what` names the phase, `total` counts its steps, of which `done` are done already."""
        self.console, self.what, self.total, self.first = console, what, total, done
        self.start = self.shown = time.perf_counter()

    @classmethod
    def on_stderr(cls, what: str, total: int, done: int = 0) -> "Progress":
        """Make one that leaves standard output to results."""
        return cls(sys.stderr, what, total, done)

    def update(self, done: int, text: str = "") -> None:
        """Show that `done` steps are done; prints at most as often as a reader needs."""
        now, last = time.perf_counter(), done >= self.total
        terminal = self.console.isatty()
        if not last and now - self.shown < (0.5 if terminal else 10):
            return
        self.shown = now
        each = (now - self.start) / max(done - self.first, 1)
        left = each * (self.total - done)
        line = f"{self.what} {done}/{self.total}  {text}{each:.2f} s each  {clock(left)} left"
        if terminal:
            print(f"\r\x1b[K{line}", end="\n" if last else "", file=self.console, flush=True)
        else:
            print(line, file=self.console, flush=True)
