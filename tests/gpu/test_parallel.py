"""Data parallelism on one GPU: two ranks that share it by gloo, and one rank with NCCL, against a single process."""

import pytest
import torch
from support.gpu_step import need_cuda
from support.parallel_step import assert_equal, launch

pytestmark = pytest.mark.slow  # the CPU has its test among those of pretraining


@pytest.fixture(scope="module")
def alone(device, tmp_path_factory):
    (result,) = launch(tmp_path_factory.mktemp("alone"), 1, device)
    return result


def test_two_gloo_ranks_on_one_device_equal_one(device, alone, tmp_path):
    for rank in launch(tmp_path, 2, device):
        assert_equal(rank, alone)
        assert abs(rank["vmr"] - alone["vmr"]) <= 1e-6


def test_one_nccl_rank_equals_no_group(device, alone, tmp_path):
    need_cuda(device)
    if not torch.distributed.is_nccl_available():
        pytest.skip("this torch has no NCCL")
    (rank,) = launch(tmp_path, 1, device, "nccl")
    assert_equal(rank, alone)
