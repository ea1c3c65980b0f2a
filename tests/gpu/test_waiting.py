"""In a step the CPU waits for nothing: it queues kernels ahead of a GPU that is always busy."""

import pytest
import torch
from support.gpu_step import draw_sample, make_recipe, make_step, need_cuda

from pretrain.batch import to_device
from pretrain.photometric import as_tensor, draw_photometric

WARM_UP = 6


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
