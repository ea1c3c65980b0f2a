"""How long the missing cells of a study will take: by what is done, or by a short try of each method."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from statistics import mean

from flsl.runtime.errors import UserError
from flsl.runtime.files import IMAGES, list_files
from results.study.cells import Cells, Pretraining, Scoring

TRIED = "a short try"
TRY = 90  # seconds that a method is tried for at most
BUSY = 0.25  # processes that run for each core, before a try, from which on it tells too long a time
LINES = 3  # of its log that are enough; the first is slow


@dataclass(frozen=True)
class Line:
    """One line of a plan: cells of one kind. `each` is in seconds, None where nothing tells."""

    what: str
    cells: int
    done: int
    each: float | None
    told_by: str

    @property
    def left(self) -> float | None:
        """Seconds until all are done."""
        missing = self.cells - self.done
        return 0.0 if not missing else None if self.each is None else missing * self.each


def make_plan(cells: Cells) -> list[Line]:
    """Return what a study needs, and how long it takes.

    Methods are tried for up to `TRY` seconds each where no log tells their rate. An evaluation that nobody has made yet
    is unknown: the floors, which are scored first, will tell.
    """
    study, lines = cells.study, []
    load, machine = os.getloadavg()[0], os.cpu_count() or 1  # before the tries, which count in it too
    beside = f" beside other work (load {load:.1f} on {machine} cores), so rather less" if load > BUSY * machine else ""
    pictures = len(list_files(cells.pictures, IMAGES))
    chosen_trials = cells.chosen()
    for name, chosen in chosen_trials.items():
        trials = [trial for trial in cells.trials() if trial.method == name]
        final = cells.final(chosen) if chosen else [replace(trials[0], seed=seed) for seed in study.seeds]
        runs = [*dict.fromkeys([*trials, *final])] if chosen else trials  # in an order: the first is tried
        more = 0 if chosen else len(study.seeds) - 1
        done = sum(run.done for run in runs)
        rate, told_by = _rate(runs) if done < len(runs) + more else (None, "")
        each = trials[0].seen(pictures) / rate if rate else None
        lines.append(Line(f"pretrain {name}", len(runs) + more, done, each, told_by + beside * (told_by == TRIED)))
    number = sum(len(method.trials) for method in study.methods.values() if len(method.trials) > 1)
    for evaluation in study.selection if number else ():
        made = [scoring for scoring in cells.selecting() if scoring.evaluation == evaluation]
        lines.append(_scoring_line(f"selection: {evaluation.name}", number, made))
    for evaluation in study.tests:
        finals = [run for chosen in chosen_trials.values() if chosen for run in cells.final(chosen)]
        made = [
            s for s in (*cells.floors(), *(s for run in finals for s in cells.tests(run))) if s.evaluation == evaluation
        ]
        unknown = sum(chosen is None for chosen in chosen_trials.values()) * len(study.seeds)
        lines.append(_scoring_line(f"test: {evaluation.name}", len(made) + unknown, made))
    return lines


def _scoring_line(what: str, count: int, made: list[Scoring]) -> Line:
    times = [record.timing.wall_seconds for scoring in made if (record := scoring.record)]
    told_by = f"{len(times)} done" if times else "unknown until the first is done"
    return Line(what, count, len(times), mean(times) if times else None, told_by)


def _rate(runs: list[Pretraining]) -> tuple[float | None, str]:
    """Return images per second of a method and what tells them: a log, or a try."""
    for run in runs:
        if lines := rates_of(run)[1:]:
            return mean(lines), "its log"
    return _try(runs[0])


def rates_of(run: Pretraining) -> list[float]:
    """Return images per second of each report in a run's log."""
    return [line["images_per_second"] for line in run.log() if "images_per_second" in line]


def _try(run: Pretraining) -> tuple[float | None, str]:
    """Start a run in a folder of its own, and stop it when its log tells the rate."""
    tried = replace(run, place=replace(run.place, out=run.place.out / "try"))
    overrides = ["--set", "runtime.log_every=1", "--resume", "never"]
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen([sys.executable, *tried.command, *overrides], stdout=nowhere, stderr=subprocess.PIPE)
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < TRY and len(tried.log()) < LINES:
        time.sleep(0.5)
    process.terminate()
    _, said = process.communicate()
    rates = rates_of(tried)
    shutil.rmtree(tried.place.out, ignore_errors=True)
    if not rates:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        if process.returncode == 2:
            raise UserError(f"{run.name} cannot be started: {last[0].removeprefix('error: ')}")
        return None, f"no step within {TRY} s"
    return mean(rates[1:] or rates), TRIED
