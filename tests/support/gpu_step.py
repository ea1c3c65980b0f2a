"""One training step on whatever device: ViT-S on a GPU, a tiny ViT on the CPU, so that the same test runs on both."""

import pytest
import torch

from flsl.architecture import EncoderConfig
from flsl.objective import HeadConfig
from flsl.runtime.distributed import Ranks
from flsl.sampling import draw_queries
from pretrain.loop import build_model
from pretrain.recipe import Optimizer, Recipe, Runtime, SamplingSection, Training, Views
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep


def need_cuda(device):
    """Skip a test of what only a GPU has."""
    if device.type != "cuda":
        pytest.skip("needs a CUDA device")


def make_recipe(device, patch_size=16, batch=4, precision="auto", **runtime):
    """ViT-S with the published views; on the CPU a tiny encoder with small ones."""
    training = Training(epochs=10, batch_size=batch, precision=precision, drop_path=0.0)
    optimizer = Optimizer(lr=1e-3, warmup_fraction=0.0, clip=0.0, freeze_last_layer=0)
    runtime = Runtime(log_every=1000, **runtime)
    if device.type == "cuda":
        encoder = EncoderConfig("vit_small", patch_size)
        return Recipe(encoder=encoder, training=training, optimizer=optimizer, runtime=runtime)
    return Recipe(
        encoder=EncoderConfig("custom", patch_size // 2, 48, embed_dim=64, depth=3, num_heads=2),
        head=HeadConfig(64, 64, 32),
        views=Views(48, 32, 2),
        sampling=SamplingSection(window_global=2, window_local=2),
        training=training,
        optimizer=optimizer,
        runtime=runtime,
    )


def draw_sample(recipe, seed=0, pin=False):
    """What a data worker makes: uint8 views and query places."""
    generator = torch.Generator().manual_seed(seed)
    views, sampling, count = recipe.views, recipe.sampling, recipe.training.batch_size
    sizes = [views.global_size] * 2 + [views.local_size] * views.n_local
    windows = [sampling.window_global] + [sampling.window_local] * views.n_local
    images = [torch.randint(0, 256, (count, 3, s, s), generator=generator, dtype=torch.uint8) for s in sizes]
    grids = [size // recipe.encoder.patch_size for size in sizes[1:]]
    queries = [draw_queries(count, g, w, sampling.mode, generator) for g, w in zip(grids, windows)]
    sample = {"views": images, "queries": queries, "unreadable": []}
    return {k: [t.pin_memory() for t in v] for k, v in sample.items()} if pin else sample


def make_step(recipe, device):
    """A training step with its model, as the loop makes it."""
    model = build_model(recipe).to(device)
    return TrainingStep(model, recipe, Schedules.of(recipe, 100), Ranks(device=device).device)
