"""Tiny recipes and batches of the methods that FLSL is compared with."""

import numpy as np
import torch

from flsl.runtime.schema import parse
from pretrain.batch import Batch
from pretrain.method import find_method
from pretrain.methods import load_method

ENCODER = dict(architecture="custom", patch_size=8, image_size=32, embed_dim=32, depth=2, num_heads=2, class_token=True)
HEAD = dict(centroids=12, hidden_dim=24, bottleneck_dim=8)
OWN = {
    "dino": {"head": HEAD, "dino": {"center_momentum": 0.8}, "views": {"local_size": 16, "n_local": 2}},
    "simclr": {"simclr": {"hidden_dim": 24, "out_dim": 8}},
    "vicreg": {"vicreg": {"hidden_dim": 24, "out_dim": 16}},
    "ibot": {
        "head": HEAD,
        "ibot": {"center_momentum": 0.8, "patch_center_momentum": 0.7},
        "views": {"local_size": 16, "n_local": 2},
    },
    "mocov3": {"mocov3": {"hidden_dim": 24, "out_dim": 8}},
}
COMPARATORS = list(OWN)


def settings(name, **training):
    """A recipe of a method as plain values."""
    own = OWN[name]
    return own | {
        "name": "tiny",
        "method": name,
        "encoder": ENCODER,
        "views": {"global_size": 32, **own.get("views", {})},
        "optimizer": {"lr": 0.5, "warmup_fraction": 0.0, "clip": 0.1},
        "training": {"epochs": 2, "batch_size": 8, "drop_path": 0.3, "precision": "fp32"} | training,
        "runtime": {"workers": 0, "log_every": 1, "checkpoint_every": 2, "compile": False},
    }


def tiny_recipe(name, **training):
    return parse(load_method(name).Recipe, settings(name, **training))


def draw_batch(recipe, seed, images, dtype=torch.float64):
    """Views of noise, and what the method draws with real images."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [recipe.views.global_size] * 2 + [16] * getattr(recipe.views, "n_local", 0)
    views = [torch.randn(images, 3, s, s, generator=generator, dtype=dtype) for s in sizes]
    random = np.random.default_rng(seed)
    plans = [find_method(recipe).plan(recipe, 40, 32, random).drawn for _ in range(images)]
    return Batch(views, {name: [torch.stack(of) for of in zip(*(plan[name] for plan in plans))] for name in plans[0]})
