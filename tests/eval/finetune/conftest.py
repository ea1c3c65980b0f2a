"""A drawn data set, a tiny encoder and a recipe that trains on them in a second."""

from pathlib import Path

import pytest
import torch
from support.killed_detector import SMOKE, TINY

from eval.coco.run import FineTuning, Options
from eval.data.synthesize import synthesize
from flsl.architecture import EncoderConfig
from flsl.checkpoint import save_encoder
from flsl.encoder import Encoder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Eight training and four validation pictures, 96x128, in COCO's layout."""
    root = tmp_path_factory.mktemp("drawn") / "coco"
    synthesize("coco", root, 0, count=8, val_count=4, height=96, width=128)
    return root


@pytest.fixture(scope="session")
def encoder_file(tmp_path_factory) -> Path:
    """A checkpoint of a ViT 32 wide with 4 blocks."""
    torch.manual_seed(0)
    config = EncoderConfig("custom", patch_size=16, image_size=96, embed_dim=32, depth=4, num_heads=2)
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    return save_encoder(Encoder(config), path, method="test", name="tiny")


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """What makes the smoke recipe tiny."""
    return TINY


@pytest.fixture
def detection(drawn, tmp_path):
    """Build the tiny recipe's task with further overrides; keyword arguments replace its fields."""

    def build(*overrides: str, **fields) -> FineTuning:
        task = FineTuning(drawn, tmp_path / "out", Options(str(SMOKE), TINY))
        return task.but(*overrides, **fields)

    return build


@pytest.fixture
def train(detection, encoder_file):
    """Train the tiny recipe with overrides; keyword arguments are the task's fields, or `train`'s own."""

    def run(*overrides: str, seed=0, hooks=(), **fields) -> Path:
        from eval.finetune.train import train

        return train(detection(*overrides, **fields), str(encoder_file), seed=seed, hooks=hooks)

    return run
