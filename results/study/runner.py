"""Run what a study lacks, cell by cell: each is a command of its own, which resumes by itself."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from flsl.runtime.files import write_text
from flsl.runtime.preemption import PREEMPTED, Preempted, StopSignal
from flsl.runtime.text import clock
from results.study.cells import Cell, Cells, Pretraining

POLL = 0.2  # seconds


@dataclass
class Outcome:
    """What became of the cells that were tried: why each failed one did, and whether the time was up."""

    failed: dict[str, str] = field(default_factory=dict)
    out_of_time: bool = False


def run_cells(cells: Cells, hours: float | None = None) -> Outcome:
    """Run every cell that is missing, in the order in which the later ones need the earlier.

    A cell that fails is said and left; the others go on. When `hours` are over, or a signal asks to stop, the cell under
    way saves what it has and ends.

    Raises:
        Preempted: a signal came.
    """
    outcome = Outcome()
    end = time.monotonic() + 3600 * hours if hours is not None else float("inf")
    with StopSignal() as stop:
        for cell in (cell for stage in (_first, _selection, _rest) for cell in stage(cells)):
            if cell.done or cell.name in outcome.failed:
                continue
            code = _run(cell, stop, end) if time.monotonic() < end else PREEMPTED
            if stop.requested:
                raise Preempted(f"stopped during {cell.name}; the same command goes on from there")
            if code == PREEMPTED or time.monotonic() >= end:
                outcome.out_of_time = True
                break
            if code or not cell.done:
                outcome.failed[cell.name] = f"exit code {code}; its own message is above"
                print(f"FAILED {cell.name}: {outcome.failed[cell.name]}", flush=True)
                if isinstance(cell, Pretraining):
                    write_text(cell.failure, f"exit code {code}\n")
    return outcome


def _first(cells: Cells) -> Iterable[Cell]:
    """Floors first: they need no training, and tell how long each benchmark takes."""
    yield from cells.floors()
    yield from cells.trials()


def _selection(cells: Cells) -> Iterable[Cell]:
    return (scoring for scoring in cells.selecting() if scoring.made_by and scoring.made_by.done)


def _rest(cells: Cells) -> Iterable[Cell]:
    """Return the chosen trials of all seeds with their tests: seed by seed, so that what is there is balanced."""
    runs = [cells.final(chosen) for chosen in cells.chosen().values() if chosen is not None]
    for of_a_seed in zip(*runs):
        for run in of_a_seed:
            yield run
            if run.done:
                yield from cells.tests(run)


def _run(cell: Cell, stop: StopSignal, end: float) -> int:
    """Run a cell's command with its output on this terminal; returns its exit code."""
    print(f"\n=== {cell.name}\n$ python {shlex.join(cell.command)}", flush=True)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    start = time.monotonic()
    # In a session of its own: a Ctrl-C comes here alone, and is handed on once.
    with subprocess.Popen([sys.executable, *cell.command], env=environment, start_new_session=True) as process:
        try:
            asked = False
            while process.poll() is None:
                time.sleep(POLL)
                if not asked and (stop.requested or time.monotonic() >= end):
                    process.terminate()
                    asked = True
        except BaseException:
            process.terminate()
            raise
    print(f"=== {cell.name}: {clock(time.monotonic() - start)}", flush=True)
    return process.returncode
