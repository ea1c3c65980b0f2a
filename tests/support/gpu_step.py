"""One training step on whatever device: ViT-S on a GPU, a tiny ViT on the CPU, so that the same test runs on both."""

import pytest
import torch

from flsl.architecture import EncoderConfig
from flsl.objective import HeadConfig
from flsl.sampling import draw_queries
from pretrain.method import build_model
from pretrain.methods.flsl import Recipe, SamplingSection, Views
from pretrain.recipe import CentroidOptimizer, Runtime, Training
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep


def need_cuda(device):
    """Skip a test of what only a GPU has."""
    if device.type != "cuda":
        pytest.skip("needs a CUDA device")


def make_recipe(device, patch_size=16, batch=4, precision="auto", drop_path=0.0, **runtime):
    """ViT-S with the published views; on the CPU a tiny encoder with small ones. Compiled is only what asks for it, since
    that takes long."""
    training = Training(epochs=10, batch_size=batch, precision=precision, drop_path=drop_path)
    optimizer = CentroidOptimizer(lr=1e-3, warmup_fraction=0.0, clip=0.0, freeze_last_layer=0)
    runtime = Runtime(**({"log_every": 1000, "compile": False} | runtime))
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
    """What a data worker makes: uint8 views, query places, and draws of stochastic depth where there is some."""
    generator = torch.Generator().manual_seed(seed)
    views, sampling, count = recipe.views, recipe.sampling, recipe.training.batch_size
    sizes = [views.global_size] * 2 + [views.local_size] * views.n_local
    windows = [sampling.window_global] + [sampling.window_local] * views.n_local
    images = [torch.randint(0, 256, (count, 3, s, s), generator=generator, dtype=torch.uint8) for s in sizes]
    grids = [size // recipe.encoder.patch_size for size in sizes[1:]]
    queries = [draw_queries(count, g, w, sampling.mode, generator) for g, w in zip(grids, windows)]
    sample = {"views": images, "queries": queries}
    if recipe.training.drop_path:
        sample["paths"] = [torch.rand(count, recipe.encoder.depth, 2, generator=generator) for _ in queries]
    return {k: [t.pin_memory() for t in v] for k, v in sample.items()} if pin else sample


def make_step(recipe, device, still=False):
    """A training step with its model, as the loop makes it; a still one leaves all weights as they are."""
    model, schedules = build_model(recipe).to(device), Schedules.of(recipe, 100)
    if still:
        schedules.lr[:], schedules.ema_momentum[:] = 0.0, 1.0
    return TrainingStep(model, recipe, schedules, device)
