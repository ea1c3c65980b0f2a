"""A detector's smallest run on drawn pictures, from the command line."""

import pytest
import torch
from support.checkout import ROOT

from eval.__main__ import main
from eval.data.synthesize import synthesize
from flsl.architecture import EncoderConfig
from flsl.checkpoint import save_encoder
from flsl.encoder import Encoder

SMOKE = ROOT / "configs" / "coco" / "mask-rcnn_smoke.py"
TINY = {
    "training.iterations": 2,
    "training.batch": 2,
    "model.fpn_channels": 16,
    "model.fc_channels": 16,
    "model.mask_channels": 16,
    "model.mask_convs": 1,
    "images.train_short_sides": "(96,)",
    "images.test_short_side": 96,
    "images.longest_side": 128,
    "testing.score_threshold": 0.0,
}


@pytest.fixture(scope="module")
def tiny():
    """Keys of the recipe, and the values that make it small."""
    return TINY


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn") / "coco"
    synthesize("coco", root, 0, count=6, val_count=4, height=96, width=128)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    config = EncoderConfig("custom", patch_size=16, image_size=96, embed_dim=32, depth=4, num_heads=2)
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    return save_encoder(Encoder(config), path, method="flsl", name="tiny")


@pytest.fixture(scope="module")
def run(data, checkpoint, tiny):
    """Run the command with the tiny recipe; returns the exit code."""

    def call(out, *more, data=data, checkpoint=checkpoint, **overrides):
        sets = [f"--set={key}={value}" for key, value in (tiny | overrides).items()]
        source = ["--checkpoint", str(checkpoint)] if checkpoint else []
        return main(["coco", *source, "--data", str(data), "--out", str(out), "--config", str(SMOKE), *sets, *more])

    return call


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    """One finished run; later tests only read it."""
    out = tmp_path_factory.mktemp("runs") / "coco"
    assert run(out) == 0
    return out
