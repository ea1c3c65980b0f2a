"""A tiny recipe and a few images, so that a whole run takes seconds."""

import numpy as np
import pytest
import torch
from PIL import Image
from support.pretrain_run import run

RECIPE = """
name = "tiny"
encoder = dict(architecture="custom", patch_size=8, image_size=48, embed_dim=32, depth=2, num_heads=2)
head = dict(centroids=16, hidden_dim=32, bottleneck_dim=16)
views = dict(global_size=48, local_size=32, n_local=2)
sampling = dict(mode="random", window_global=4, window_local=2)
mean_shift = dict(scale_sa=0.05, scale_ca=0.1)
optimizer = dict(lr=1e-2)
training = dict(epochs=2, batch_size=4, drop_path=0.1, precision="fp32")
runtime = dict(workers=1, log_every=1, checkpoint_every=2)
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """An ImageFolder of 14 smooth random pictures."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for i in range(14):
        folder = root / "train" / f"class{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        small = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((80, 60), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg")
    return root


@pytest.fixture
def finished(recipe_file, images, tmp_path):
    """The folder of a finished run of 6 steps."""
    torch.set_num_threads(1)
    assert run(recipe_file, images, tmp_path / "run") == 0
    return tmp_path / "run"
