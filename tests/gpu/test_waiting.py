"""In a step the CPU waits for nothing: it queues kernels ahead of a GPU that is always busy."""

import time

import pytest
import torch
from support.gpu_step import draw_sample, make_recipe, make_step, need_cuda

from pretrain.batch import to_device
from pretrain.photometric import as_tensor, draw_photometric

WARM_UP, STEPS, PROFILED = 6, 10, 2


def with_color(sample, recipe):
    """The sample of workers that leave color to the device."""
    import numpy as np

    random = np.random.default_rng(0)
    rows = [as_tensor([draw_photometric(random) for _ in sample["views"]]) for _ in range(recipe.training.batch_size)]
    crops = sample.pop("views")
    return sample | {"crops": crops, "parameters": torch.stack(rows).pin_memory()}


@pytest.mark.parametrize("views", ["finished", "color on the device"])
@pytest.mark.parametrize(("precision", "graph"), [("bf16", False), ("bf16", True), ("fp16", False), ("fp16", True)])
def test_nothing_in_a_step_waits_for_the_device(views, precision, graph, device):
    need_cuda(device)
    recipe = make_recipe(device, batch=16, precision=precision, drop_path=0.1, cuda_graph=graph)
    step, sample = make_step(recipe, device), draw_sample(recipe, pin=True)
    if views != "finished":
        sample = with_color(sample, recipe)
    for number in range(WARM_UP):
        step([to_device(sample, device, False)], number + 1)
    torch.cuda.synchronize(device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(3):
            step([to_device(sample, device, False)], WARM_UP + number + 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("batch", [16, 64])
def test_kernels_and_busy_share_of_a_step(batch, graph, device, record_property):
    need_cuda(device)
    recipe = make_recipe(device, batch=batch, drop_path=0.1, cuda_graph=graph)
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
    record_property("mode", "graph" if graph else "one by one")
    record_property("kernels_per_step", count)
    record_property("step_ms", 1e3 * seconds / STEPS)
    record_property("busy_share", busy * STEPS / seconds)  # kernels that run beside each other count twice
    record_property("queued_share", queued / seconds)  # of the time, in which the CPU queued kernels
    slowest = sorted(kernels, key=lambda e: -e.self_device_time_total)[:12]
    record_property(
        "slowest", " | ".join(f"{e.key[:40]} {e.self_device_time_total / 1e3 / PROFILED:.2f} ms" for e in slowest)
    )
    assert count > 1
