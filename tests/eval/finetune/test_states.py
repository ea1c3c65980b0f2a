"""Interrupted trainings end in the uninterrupted one's weights, and damaged or hostile states are passed by."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import killed_detector
from support.killed_detector import Send

from eval.finetune import states
from eval.finetune.weights import read_model
from flsl.runtime.errors import UserError
from flsl.runtime.preemption import Preempted

# Everything that draws random numbers, or keeps something besides the weights.
SIX = (
    "training.iterations=6",
    "runtime.checkpoint_every=2",
    "model.drop_path=0.3",
    "training.ema=0.1",
    "images.crop=True",
)


class Bomb:
    """Unpickling this creates a file."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (open, (self.target, "w"))


@pytest.fixture(scope="session")
def killed(tiny, drawn, encoder_file, tmp_path_factory):
    """The folder of a training that was killed after five of six iterations, and was then moved."""
    out = tmp_path_factory.mktemp("killed") / "out"
    command = [sys.executable, killed_detector.__file__, "5", encoder_file, drawn, out]
    root = Path(__file__).resolve().parents[3]
    # As many threads as what goes on with it has: sums are added in another order by another number.
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([*command, *tiny, *SIX, "runtime.workers=1"], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return out.rename(out.with_name("moved"))


@pytest.fixture
def folder(killed, tmp_path):
    """A copy of it where `train` works; returns the folder of states."""
    shutil.copytree(killed, tmp_path / "out")
    return tmp_path / "out" / "train"


def saved(folder):
    return sorted(path.name for path in folder.glob("*.pth"))


def assert_same_weights(first, second):
    first, second = (read_model(path, "detector")[1] for path in (first, second))
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different, f"{len(different)} of {len(first)} tensors differ, first {different[0]}"


def test_a_killed_training_ends_like_an_uninterrupted_one(train, folder, tmp_path, capsys):
    """Copied elsewhere on the way, and with another number of processes that load images."""
    assert saved(folder) == ["iter_2.pth", "iter_4.pth"]
    resumed = train(*SIX)
    assert "resuming at iteration 4 of 6" in capsys.readouterr().out
    assert_same_weights(resumed, train(*SIX, out=tmp_path / "whole"))


def test_a_training_stopped_by_a_signal_ends_like_an_uninterrupted_one(train, tmp_path):
    overrides = (*SIX, "training.ema=None", "training.clip_norm=1.0", "training.precision=bf16")
    with pytest.raises(Preempted):
        train(*overrides, hooks=[Send(signal.SIGUSR1, after=2)])
    assert saved(tmp_path / "out" / "train") == ["iter_2.pth", "iter_3.pth"]
    assert_same_weights(train(*overrides), train(*overrides, out=tmp_path / "whole"))


def hostile(path, mark):
    torch.save({"model": Bomb(mark)}, path)


def truncated(path, mark):
    path.write_bytes(path.read_bytes()[:-1000])


def missing(path, mark):
    path.unlink()


def foreign(path, mark):
    torch.save({"iteration": 4, "model": {}}, path)


@pytest.mark.parametrize("damage", [hostile, truncated, missing, foreign])
def test_a_damaged_state_is_passed_by_and_nothing_is_executed(train, folder, tmp_path, capsys, damage):
    mark = tmp_path / "executed"
    damage(folder / "iter_4.pth", mark)
    # The file that mmengine would follow anywhere.
    torch.save(Bomb(mark), tmp_path / "elsewhere.pth")
    (folder / "last_checkpoint").write_text(str(tmp_path / "elsewhere.pth"))
    train(*SIX)
    assert not mark.exists()
    shown = capsys.readouterr().out
    assert "resuming at iteration 2 of 6" in shown
    assert (str(folder / "iter_4.pth") in shown) == (damage is not missing)
    assert saved(folder) == ["iter_4.pth", "iter_6.pth"]


def test_a_state_from_before_it_held_its_seconds_is_resumed(train, folder, capsys):
    state = torch.load(folder / "iter_4.pth", weights_only=True)
    del state["seconds"]
    torch.save(state, folder / "iter_4.pth")
    train(*SIX)
    assert "resuming at iteration 4 of 6" in capsys.readouterr().out


def test_a_state_newer_than_the_training_is_passed_by_and_deleted(train, folder, capsys):
    shutil.copy(folder / "iter_4.pth", folder / "iter_99.pth")
    train(*SIX)
    assert "iter_99.pth is no state of this training" in capsys.readouterr().out
    assert saved(folder) == ["iter_4.pth", "iter_6.pth"]


def test_without_a_whole_state_the_message_says_what_to_do(train, folder, tmp_path):
    mark = tmp_path / "executed"
    for path in folder.glob("*.pth"):
        hostile(path, mark)
    with pytest.raises(UserError, match=r"iter_4\.pth was refused, and nothing in it was executed.*--when-exists over"):
        train(*SIX)
    assert not mark.exists()


def test_a_state_of_another_model_is_named(train, folder):
    state = torch.load(folder / "iter_4.pth", weights_only=True)
    state["model"]["neck.fpn_convs.0.conv.weight"] = torch.zeros(1)
    torch.save(state, folder / "iter_4.pth")
    with pytest.raises(UserError, match=r"iter_4\.pth is the state of another training \(.*size mismatch"):
        train(*SIX)


def test_a_state_that_cannot_be_written_ends_the_training_but_for_the_last(train, tmp_path, monkeypatch):
    """The state after the last iteration only serves where the detector cannot be written either."""

    def full(*_):
        raise UserError("cannot write: no space left")

    monkeypatch.setattr(states, "save_state", full)
    with pytest.raises(UserError, match="no space left"):
        train("training.iterations=2", "runtime.checkpoint_every=1")
    assert train("training.iterations=2", out=tmp_path / "other").is_file()
    assert "no space left" in (tmp_path / "other" / "train" / "train.log").read_text()
