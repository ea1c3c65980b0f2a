"""How many kernels a step is, and what share of the time the GPU is busy; to be run while nothing else uses it."""

import time

import pytest
import torch
from support.gpu_step import draw_sample, make_recipe, make_step, need_cuda

from pretrain.batch import to_device

WARM_UP, STEPS, PROFILED = 6, 10, 2


@pytest.mark.parametrize("batch", [16, 64])
@pytest.mark.parametrize("mode", ["graph", "compiled graph", "one by one"])
def test_kernels_and_busy_share_of_a_step(batch, mode, device, record_property):
    need_cuda(device)
    how = {"cuda_graph": mode != "one by one", "compile": mode.startswith("compiled")}
    recipe = make_recipe(device, batch=batch, drop_path=0.1, **how)
    step = make_step(recipe, device)
    parts = to_device(draw_sample(recipe), device, False)
    for number in range(WARM_UP):
        step([parts], number + 1)
    torch.cuda.synchronize(device)
    begin = time.perf_counter()
    for number in range(STEPS):
        step([parts], WARM_UP + number + 1)
    queued = time.perf_counter() - begin
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - begin
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profile:
        for number in range(PROFILED):
            step([parts], WARM_UP + STEPS + number + 1)
        torch.cuda.synchronize(device)
    kernels = [e for e in profile.key_averages() if e.device_type == torch.autograd.DeviceType.CUDA]
    count = sum(e.count for e in kernels) / PROFILED
    busy = sum(e.self_device_time_total for e in kernels) / PROFILED / 1e6
    record_property("batch", batch)
    record_property("mode", mode)
    record_property("kernels_per_step", count)
    record_property("step_ms", 1e3 * seconds / STEPS)
    record_property("busy_share", busy * STEPS / seconds)  # kernels that run beside each other count twice
    record_property("queued_share", queued / seconds)  # of the time, in which the CPU queued kernels
    slowest = sorted(kernels, key=lambda e: -e.self_device_time_total)[:12]
    record_property(
        "slowest", " | ".join(f"{e.key[:40]} {e.self_device_time_total / 1e3 / PROFILED:.2f} ms" for e in slowest)
    )
    assert count > 1
