"""A record's seconds are those of all processes that its run went through; where one could not tell, the record says so."""

import json

import pytest

from eval import evaluate
from eval.data.synthesize import synthesize
from eval.run import LOST, Run
from results.store import read_record

ENCODER = "random:vit_micro/16"
SIZES = {
    "davis": {"sequences": 1, "train_sequences": 0, "frames": 3, "height": 64, "width": 64},
    "coco": {"count": 3, "val_count": 3, "height": 64, "width": 64},
}
DATA = {"davis": "davis", "knn": "coco", "discovery": "coco"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn data of every kind. Not to be changed."""
    root = tmp_path_factory.mktemp("data")
    for benchmark, sizes in SIZES.items():
        synthesize(benchmark, root / benchmark, **sizes)
    return root


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture(params=DATA)
def again(request, data, tmp_path, monkeypatch):
    """A run that was interrupted before its record, and the function that goes on with it."""
    command = request.param

    def run(**options):
        return evaluate(ENCODER, command, data / DATA[command], tmp_path / "out", **options)

    with monkeypatch.context() as changed:
        changed.setattr(Run, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run()
    return run


def told(out, **changes):
    """What the interrupted process told the next one, with changes written down."""
    state = json.loads((out / "run.json").read_text())
    state["told"].update(changes)
    (out / "run.json").write_text(json.dumps(state))
    return state["told"]


def test_seconds_of_all_processes_add_up(again, tmp_path):
    before = told(tmp_path / "out")
    phases = dict.fromkeys(before["phases"], 100.0) | {"earlier": 500.0}
    told(tmp_path / "out", seconds=1000.0, phases=phases, peaks=[1e6, 0.0])
    timing = again().timing
    assert 1000 < timing.wall_seconds < 1100
    assert all(timing.phases[name] >= seconds for name, seconds in phases.items())
    assert timing.peak_memory_mib == 1e6
    record = read_record(tmp_path / "out/record.json")
    assert LOST not in record.warnings
    assert again() == record


@pytest.mark.parametrize("said", [None, {"whole": False}, {"seconds": "long"}, {"phases": {"encoder": -1.0}}], ids=str)
def test_a_process_that_could_not_tell_is_named(said, again, tmp_path):
    out = tmp_path / "out"
    told(out, **(said or {}))
    if said is None:  # it was killed
        state = json.loads((out / "run.json").read_text())
        del state["told"]
        (out / "run.json").write_text(json.dumps(state))
    assert LOST in again().warnings


def test_seconds_of_another_part_count_only_where_its_predictions_do(data, tmp_path):
    """k-NN encodes all again for another --limit: its record said the seconds of both."""

    def run(command, **options):
        return evaluate(ENCODER, command, data / DATA[command], tmp_path / command, **options).timing.wall_seconds

    for command, limit in {"knn": 2, "discovery": 1}.items():
        run(command, limit=limit)
        told(tmp_path / command, seconds=1000.0)
    assert run("knn") < 1000
    assert run("discovery") > 1000
    assert LOST not in read_record(tmp_path / "knn/record.json").warnings


def test_seconds_of_other_items_wait_until_they_are_asked_for(data, tmp_path):
    clips, out = tmp_path / "clips", tmp_path / "out"
    synthesize("davis", clips, **(SIZES["davis"] | {"sequences": 3}))

    def run(*videos):
        return evaluate(ENCODER, "davis", clips, out, videos=videos or None).timing.wall_seconds

    run("drawn-00")
    told(out, seconds=1000.0)
    assert run("drawn-01") < 1000
    told(out, seconds=2000.0)
    assert 2000 < run("drawn-01", "drawn-02") < 3000
    assert 3000 < run() < 4000


def test_starting_over_begins_with_no_seconds(again, tmp_path):
    told(tmp_path / "out", seconds=1000.0)
    record = again(when_exists="overwrite")
    assert record.timing.wall_seconds < 1000
    assert LOST not in record.warnings


def test_what_was_killed_while_it_went_on_is_missed(again, tmp_path, monkeypatch):
    """Until a process tells how long it took, the next one must not believe that the earlier ones were all."""
    seen = {}

    def look(self, **_):
        seen.update(told(tmp_path / "out"))
        raise KeyboardInterrupt

    with monkeypatch.context() as changed:
        changed.setattr(Run, "finish", look)
        with pytest.raises(KeyboardInterrupt):
            again()
    assert seen["whole"] is False
    assert told(tmp_path / "out")["whole"] is True
