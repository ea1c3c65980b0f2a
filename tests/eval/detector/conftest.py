"""A drawn data set, a tiny encoder and a recipe that trains on them in a second."""

from pathlib import Path

import pytest
import torch
from support.killed_detector import SMOKE, TINY

from eval.coco.recipe import CocoRecipe
from eval.data.synthesize import synthesize
from eval.detector.recipe import read_recipe
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
def recipe():
    """Build the tiny recipe with further overrides."""

    def build(*overrides: str) -> CocoRecipe:
        return read_recipe(SMOKE, [*TINY, *overrides], cls=CocoRecipe)[0]

    return build


@pytest.fixture
def train(drawn, encoder_file, tmp_path, recipe):
    """Train the tiny recipe with overrides; keyword arguments replace `train_detector`'s."""

    def run(*overrides: str, **arguments) -> Path:
        from eval.detector.train import train_detector

        files = {
            "annotations": drawn / "annotations" / "instances_train2017.json",
            "images": drawn / "train2017",
            "out": tmp_path / "out",
        }
        return train_detector(recipe(*overrides), str(encoder_file), **(files | arguments))

    return run
