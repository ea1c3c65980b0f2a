"""A run's folder: skip, resume, start over and refuse by one rule; one owner at a time; nothing half written is left."""

import os
import signal
import subprocess
import sys
import time

import pytest

from flsl.runtime.errors import UserError
from flsl.runtime.run_folder import RunFolder

IDENTITY = {"method": "FLSL", "optimizer": {"lr": 0.1, "clip": 3.0}, "data": "abc"}


def folder(out, identity=IDENTITY, **options):
    return RunFolder(
        out, identity, results=["result.txt"], outputs=["states"], notes=["log.txt"], target={"steps": 6}, **options
    )


def finish(out):
    with folder(out) as run:
        assert run.begin() == "fresh"
        (out / "log.txt").write_text("old")
        (out / "result.txt").write_text("old")
        run.finish()


def test_finished_is_done_unfinished_is_resumed(tmp_path):
    for _ in range(2):  # a run that made nothing binds nobody
        with folder(tmp_path) as run:
            assert run.begin() == "fresh"
    (tmp_path / "states").mkdir()
    with folder(tmp_path) as run:
        assert run.begin() == "resume"
        (tmp_path / "result.txt").write_text("result")
        run.finish()
    with folder(tmp_path) as run:
        assert run.begin() == "done"
    (tmp_path / "result.txt").unlink()
    with folder(tmp_path) as run:
        assert run.begin() == "resume"


def test_another_run_is_refused_and_says_what_differs(tmp_path):
    finish(tmp_path)
    other = {**IDENTITY, "optimizer": {"lr": 0.2, "clip": 3.0}}
    message = r"optimizer\.lr: 0\.1 -> 0\.2 \(there -> asked for\).*start over with --resume never"
    with folder(tmp_path, other, start_over="--resume never") as run, pytest.raises(UserError, match=message):
        run.begin()
    with folder(tmp_path, other, allowed=["optimizer"]) as run:
        assert run.begin() == "done"


def test_a_run_that_makes_other_files_does_not_take_an_unfinished_ones_place(tmp_path):
    """Scores in the folder of an interrupted training left nothing that it could go on from."""
    with folder(tmp_path) as run:
        run.begin()
        (tmp_path / "states").mkdir()
    other = RunFolder(tmp_path, {"method": "scores"}, results=["scores.txt"])
    with other, pytest.raises(UserError, match=r"holds another run: .*method: FLSL -> scores"):
        other.begin()
    with folder(tmp_path) as run:
        assert run.begin() == "resume"


def test_results_that_say_nothing_of_their_origin_are_not_adopted(tmp_path):
    (tmp_path / "result.txt").write_text("whose?")
    with folder(tmp_path) as run, pytest.raises(UserError, match=r"holds result\.txt, but no run\.json"):
        run.begin()


def test_overwrite_keeps_the_old_until_there_is_something_new(tmp_path):
    finish(tmp_path)
    with folder(tmp_path, {**IDENTITY, "data": "def"}, when_exists="overwrite") as run:
        assert run.begin() == "fresh"
        assert not (tmp_path / "result.txt").exists()
        for name in ("result.txt", "log.txt"):
            assert (tmp_path / ".previous" / name).read_text() == "old"
        run.forget_previous()
        assert not (tmp_path / ".previous").exists()


def test_what_never_finished_takes_no_finished_runs_place(tmp_path):
    """Started over twice, of which the first time was interrupted, a folder kept a part of that in place of the result."""
    finish(tmp_path)
    for _ in range(2):
        with folder(tmp_path, {**IDENTITY, "data": "def"}, when_exists="overwrite") as run:
            assert run.begin() == "fresh"
            assert not (tmp_path / "log.txt").exists()
            (tmp_path / "log.txt").write_text("of half a run")
    for name in ("result.txt", "log.txt"):
        assert (tmp_path / ".previous" / name).read_text() == "old"


def test_a_folder_has_one_owner(tmp_path):
    with folder(tmp_path), pytest.raises(UserError, match=f"is in use by process {os.getpid()} on"):
        folder(tmp_path).__enter__()
    with folder(tmp_path):
        pass


def test_a_killed_owner_leaves_no_lock_although_its_children_live_on(tmp_path):
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from flsl.runtime.run_folder import RunFolder\n"
        "RunFolder(Path(sys.argv[1]), {}, results=[]).__enter__()\n"
        "child = os.fork()\n"
        "if child: print(child, flush=True)\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    child = int(owner.stdout.readline())
    try:
        time.sleep(0.2)
        owner.kill()
        owner.wait()
        with folder(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        owner.stdout.close()


def test_temporary_files_of_killed_writers_are_removed_but_not_those_of_a_run_inside(tmp_path):
    (tmp_path / "states").mkdir()
    (tmp_path / "davis").mkdir()
    own = [tmp_path / ".result.txt.tmp-abc.txt", tmp_path / "states" / ".step.pt.tmp-abc.pt"]
    foreign = [tmp_path / "davis" / ".mask.png.tmp-abc.png", tmp_path / ".hidden.txt"]
    for path in own + foreign:
        path.write_text("half")
    with folder(tmp_path):
        assert not any(path.exists() for path in own)
        assert all(path.exists() for path in foreign)


def test_a_folder_that_cannot_be_written_to_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        folder(tmp_path / "file" / "out").__enter__()
