"""Which device a process takes: its own GPU, never its neighbor's."""

import pytest
import torch

from flsl.runtime.device import choose_device
from flsl.runtime.errors import UserError
from flsl.runtime.precision import choose_dtype, repeatable


@pytest.fixture
def gpus(monkeypatch):
    """A machine that seems to have GPUs; the ones that became a process's own."""
    own = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *sizes, device: None)
    monkeypatch.setattr(torch.cuda, "set_device", own.append)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    return own


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_torchrun_takes_its_own_gpu(gpus, monkeypatch, name):
    assert choose_device(name) == torch.device("cuda:0")
    for rank in ("0", "3"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert choose_device(name) == torch.device(f"cuda:{rank}")
    assert choose_device(name, local_rank=5) == torch.device("cuda:5")  # a launcher of another kind says it
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert gpus[-1] == torch.device("cuda:1")  # also of a single process: what says "cuda" means this one


def test_float32_keeps_its_bits_until_a_recipe_says_otherwise(gpus):
    def tf32():
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    device = choose_device("cuda")
    assert tf32() == (False, False)
    assert choose_dtype("tf32", device) is torch.float32
    assert tf32() == (True, True)
    assert choose_dtype("fp32", device) is torch.float32
    assert tf32() == (False, False)
    with pytest.raises(UserError, match="precision is tf32, which needs a CUDA device"):
        choose_dtype("tf32", torch.device("cpu"))


def test_what_repeats_is_switched_on_and_back():
    def state():
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.cudnn_sdp_enabled(),
            torch.backends.cuda.flash_sdp_enabled(),
        )

    before = state()
    with repeatable(False):
        assert state() == before
    with repeatable(True):
        assert state() == (True, False, False, True)
    assert state() == before


def test_a_device_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    for name in ("cuda:99", "abacus"):
        with pytest.raises(UserError, match=f"--device {name} cannot be used"):
            choose_device(name)
