"""Plans of studies: how many cells, how many are done, and how long the others take."""

import json
from statistics import mean

import pytest
from support.studies import finish, finish_all, study_file

from flsl.runtime.errors import UserError
from results.study.cells import Pretraining, open_cells
from results.study.declaration import read_study
from results.study.estimate import TRIED, make_plan

RATES = [1.0, 8.0, 16.0]  # images per second; the first report is slow
WRITE_LOG = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "log.jsonl").write_text(sys.argv[2])
time.sleep(60)
"""


def log_of(rates) -> str:
    return "".join(json.dumps({"step": step, "images_per_second": rate}) + "\n" for step, rate in enumerate(rates))


@pytest.fixture
def cells(tmp_path, place):
    """Two methods with two trials each, two seeds; random weights by two seeds and pixels are the floors."""
    return open_cells(read_study(study_file(tmp_path)), place)


def test_a_plan_counts_what_lacks_and_takes_its_time_from_logs(cells):
    first, *_, last = trials = cells.trials()
    for trial in (first, last):
        finish(trial, None)
        (trial.folder / "log.jsonl").write_text(log_of(RATES))
    for scoring in cells.floors()[:2]:
        finish(scoring, [30.0] * 8)
    seconds = mean(scoring.record.timing.wall_seconds for scoring in cells.floors()[:2])
    lines = {line.what: line for line in make_plan(cells)}
    assert list(lines) == ["pretrain a", "pretrain b", "selection: davis clips train", "test: davis clips val"]
    for name in ("pretrain a", "pretrain b"):  # two trials, and the other seed of the one that will be chosen
        line = lines[name]
        assert (line.cells, line.done, line.told_by) == (3, 1, "its log")
        assert line.each == pytest.approx(trials[0].seen(40) / 12)
        assert line.left == pytest.approx(2 * trials[0].seen(40) / 12)
    line = lines["selection: davis clips train"]
    assert (line.cells, line.done, line.each, line.left) == (4, 0, None, None)
    line = lines["test: davis clips val"]  # three of the floors, and two seeds of each method
    assert (line.cells, line.done, line.each, line.left) == (7, 2, seconds, 5 * seconds)


def test_where_all_is_done_nothing_is_left(cells):
    finish_all(cells)
    lines = make_plan(cells)
    assert [(line.cells, line.done) for line in lines] == [(3, 3), (3, 3), (4, 4), (7, 7)]
    assert [line.left for line in lines] == [0.0] * 4


def test_a_method_without_a_log_is_tried_in_a_folder_of_its_own(cells, monkeypatch):
    command = ["-c", WRITE_LOG]
    monkeypatch.setattr(Pretraining, "command", property(lambda run: [*command, str(run.folder), log_of(RATES)]))
    line = make_plan(cells)[0]
    assert line.told_by.startswith(TRIED)
    assert line.each == pytest.approx(cells.trials()[0].seen(40) / 12)
    assert {path.name for path in cells.place.out.iterdir()} == {"data", "made_of.json"}  # and no trial
    command[1] = "import sys; sys.exit('error: no such recipe')"
    assert make_plan(cells)[0].each is None
    command[1] = "import sys; sys.stderr.write('error: no such recipe'); sys.exit(2)"
    with pytest.raises(UserError, match="pretrain a, trial 1, seed 0 cannot be started: no such recipe"):
        make_plan(cells)
