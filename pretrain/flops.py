"""What one image costs: the floating-point operations of a training step, counted while two images go through it."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from flsl.across_ranks import alone
from pretrain.batch import to_device
from pretrain.dataset import draw_sample
from pretrain.method import Method
from pretrain.recipe import Recipe
from pretrain.schedules import Schedules

IMAGES = 2  # one alone has no other to be compared with


def count_flops(model: Method, recipe: Recipe, device: torch.device) -> float:
    """Return the operations of a step, forward and backward, for each image in it; optimizer and colors do not count.

    A multiplication and its addition are two. Other ranks take no part; `model` is afterwards what it was.
    """
    batch = to_device(draw_sample(recipe, IMAGES), device, model.keeps_crops(recipe))
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        alone(),
        FlopCounterMode(display=False) as counter,
    ):
        model(batch, Schedules.of(recipe, 1).values(0)).loss.backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops() / IMAGES
