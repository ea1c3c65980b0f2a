"""The line of progress: bars in a terminal, plain lines in a log, silence where a phase is short."""

import io
import re

import pytest

from eval import progress
from eval.progress import Progress, marked


class Terminal(io.StringIO):
    """A console that a person looks at."""

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Let a test say what time it is."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def run(console, clock, steps, seconds, what="frames"):
    line = Progress(what, steps, console=console)
    for done in range(1, steps + 1):
        clock[0] += seconds
        line.update(done, "loss 1.0  ")
    return console.getvalue()


def test_a_log_gets_plain_lines_with_rate_and_time_left(clock):
    lines = run(io.StringIO(), clock, 100, 1.0).splitlines()
    assert lines[0] == "frames 10/100  loss 1.0  1.00 s each  0:01:30 left"
    assert len(lines) == 10
    assert lines[-1].startswith("frames 100/100")


def test_a_terminal_gets_one_line_with_a_bar(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = run(Terminal(), clock, 40, 0.0625)
    drawn = text.split("\r\x1b[K")[1:]
    assert len(drawn) == 5
    assert drawn[1].startswith("[========            ] frames 16/40  loss 1.0  16 per s")
    assert max(map(len, drawn)) <= 60
    assert text.count("\n") == 1


@pytest.mark.parametrize("console", [io.StringIO, Terminal])
def test_a_short_phase_says_nothing(clock, console):
    assert run(console(), clock, 4, 0.01) == ""


def test_lines_of_a_probe_are_marked(clock):
    with marked("probe"):
        assert re.match("probe: train 1/2", run(io.StringIO(), clock, 2, 20.0, "train"))
    assert run(io.StringIO(), clock, 1, 20.0, "train").startswith("train 1/1")
