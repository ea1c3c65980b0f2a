"""Running a study's cells: in which order, what a failed one stops, and when the time is over. Commands are not started."""

import pytest
from support.studies import finish, study_file

from flsl.runtime.preemption import PREEMPTED
from results.study.cells import Pretraining, Scoring, open_cells
from results.study.declaration import read_study
from results.study.runner import run_cells


@pytest.fixture
def cells(tmp_path, place):
    return open_cells(read_study(study_file(tmp_path)), place)


@pytest.fixture
def started(cells, monkeypatch):
    """What was started, as (model, trial, seed, what); `codes` gives the exit code of some, which leave nothing."""

    class Started(list):
        codes = {}

    started = Started()

    def known():
        finals = [run for chosen in cells.chosen().values() if chosen for run in cells.final(chosen)]
        yield from (*cells.floors(), *cells.trials(), *cells.selecting(), *finals)
        yield from (test for run in finals for test in cells.tests(run))

    class Process:
        def __init__(self, command, **_):
            cell = next(cell for cell in known() if cell.command == command[1:])
            if isinstance(cell, Pretraining):
                started.append((cell.method, cell.trial, cell.seed, "pretrain"))
            else:
                trial = cell.made_by.trial if cell.made_by else None
                started.append((cell.model, trial, cell.seed, cell.evaluation.options["split"]))
            self.returncode = started.codes.get(started[-1])
            if self.returncode is None:
                self.returncode = 0
                score = 40.0 + (cell.made_by.trial if isinstance(cell, Scoring) and cell.made_by else 0)
                splits = {"train": "ef", "val": "cd"}
                names = splits[cell.evaluation.options["split"]] * 32 if isinstance(cell, Scoring) else ""
                finish(cell, None if isinstance(cell, Pretraining) else [score] * 8, annotations=names)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def poll(self):
            return self.returncode

    monkeypatch.setattr("subprocess.Popen", Process)
    return started


FLOORS = [("random", None, 0, "val"), ("random", None, 1, "val"), ("pixels", None, 0, "val")]
TRIALS = [(method, trial, 0, "pretrain") for method in "ab" for trial in (0, 1)]
SELECTION = [(method, trial, 0, "train") for method in "ab" for trial in (0, 1)]


def test_floors_come_first_and_seeds_are_finished_one_after_the_other(cells, started):
    outcome = run_cells(cells, hours=1)
    assert (outcome.failed, outcome.out_of_time) == ({}, False)
    first_seed = [(method, 1, 0, "val") for method in "ab"]
    second_seed = [(method, 1, 1, what) for method in "ab" for what in ("pretrain", "val")]
    assert started == [*FLOORS, *TRIALS, *SELECTION, *first_seed, *second_seed]
    run_cells(cells)
    assert len(started) == 17  # nothing again


def test_what_fails_is_said_and_the_others_go_on(cells, started, capsys):
    # The second wrote nothing, and so b is not chosen.
    started.codes = {("a", 1, 0, "pretrain"): 1, ("b", 0, 0, "train"): 0, ("a", 0, 1, "pretrain"): 2}
    outcome = run_cells(cells)
    assert outcome.failed == {
        "pretrain a, trial 2, seed 0": "exit code 1; its own message is above",
        "davis clips train: b, trial 1, seed 0": "exit code 0; its own message is above",
        "pretrain a, trial 1, seed 1": "exit code 2; its own message is above",
    }
    assert capsys.readouterr().out.count("FAILED") == 3
    assert ("a", 1, 0, "train") not in started
    assert [one for one in started if one[3] == "val"][3:] == [("a", 0, 0, "val")]
    assert [trial.failed for trial in cells.trials()] == [False, True, False, False]


def test_nothing_begins_when_the_time_is_over(cells, started):
    assert run_cells(cells, hours=0).out_of_time
    assert started == []
    started.codes = {("random", None, 1, "val"): PREEMPTED}
    outcome = run_cells(cells)
    assert (outcome.failed, outcome.out_of_time) == ({}, True)
    assert started == FLOORS[:2]
