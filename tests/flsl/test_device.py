"""Which device a process takes: its own GPU, never its neighbor's."""

import pytest
import torch

from flsl.runtime.device import choose_device
from flsl.runtime.errors import UserError


@pytest.fixture
def gpus(monkeypatch):
    """A machine that seems to have GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *sizes, device: None)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_torchrun_takes_its_own_gpu(gpus, monkeypatch, name):
    assert choose_device(name) == torch.device("cuda:0")
    for rank in ("0", "3"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert choose_device(name) == torch.device(f"cuda:{rank}")
    assert choose_device(name, local_rank=5) == torch.device("cuda:5")  # a launcher of another kind says it
    assert choose_device("cuda:1") == torch.device("cuda:1")


def test_a_device_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    for name in ("cuda:99", "abacus"):
        with pytest.raises(UserError, match=f"--device {name} cannot be used"):
            choose_device(name)
