"""Tasks that srun started find each other, or say what they lack."""

import os

import pytest

from flsl.runtime.errors import UserError
from flsl.runtime.slurm import adopt_ranks

RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@pytest.fixture
def srun(monkeypatch):
    """The environment of task 5 of 16, without a place to meet."""
    for name in (*RANKS, "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("STEP_NUM_TASKS", "16"), ("PROCID", "5"), ("LOCALID", "1"), ("NTASKS", "16")):
        monkeypatch.setenv(f"SLURM_{name}", value)


def test_a_task_of_srun_becomes_a_rank(srun, monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "node1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.MonkeyPatch.context() as restored:
        for name in RANKS:
            restored.setenv(name, "")
            del os.environ[name]
        adopt_ranks()
        assert [os.environ[name] for name in RANKS] == ["5", "16", "1"]


def test_tasks_that_cannot_meet_are_refused_rather_than_run_apart(srun):
    with pytest.raises(UserError, match="16 tasks, but MASTER_ADDR and MASTER_PORT is not set"):
        adopt_ranks()


def test_torchrun_and_a_single_task_are_left_alone(srun, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    adopt_ranks()
    assert os.environ["WORLD_SIZE"] == "2"
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    adopt_ranks()
    assert "WORLD_SIZE" not in os.environ
