"""`pixels/16`: the baseline that every frozen benchmark takes in an encoder's place."""

import numpy as np
import pytest
import torch

from eval import evaluate
from eval.data.synthesize import synthesize
from flsl.checkpoint import load_encoder, save_encoder
from flsl.runtime.errors import UserError


def test_a_token_is_the_mean_color_of_its_patch_and_its_place():
    encoder = load_encoder("pixels/8").encoder
    images = torch.rand(2, 3, 24, 32)
    tokens = encoder(images)
    assert tokens.shape == (2, 12, encoder.embed_dim)
    expected = images[1, :, 8:16, 24:32].mean(dim=(1, 2))
    torch.testing.assert_close(tokens[1, 7, :3], expected)
    assert tokens[0, 0, 3:5].tolist() == [-1, -1]
    assert tokens[0, 11, 3:5].tolist() == [1, 1]
    torch.testing.assert_close(encoder.feature_maps(images)[0][1, :, 1, 3], tokens[1, 7])
    with pytest.raises(UserError, match="20x32"):
        encoder(images[:, :, :20])


def test_it_says_what_it_is_and_holds_nothing_to_save(tmp_path):
    loaded = load_encoder("pixels/16")
    fields = loaded.model_fields()
    assert (fields["architecture"], fields["patch_size"], fields["parameters"]) == ("pixels", 16, 0)
    assert "no network" in fields["name"]
    assert fields["fingerprint"] != load_encoder("pixels/8").fingerprint
    with pytest.raises(UserError, match="no weights"):
        save_encoder(loaded.encoder, tmp_path / "pixels.safetensors", method="pixels", name="pixels")
    for wrong in ("pixels/sixteen", "pixels/0", "pixels/16?heads=3"):
        with pytest.raises(UserError, match="expected pixels/PATCH"):
            load_encoder(wrong)


@pytest.mark.parametrize(
    ("benchmark", "draw"),
    [
        ("davis", {"sequences": 1, "train_sequences": 0, "frames": 4, "height": 96, "width": 128}),
        ("knn", {"count": 6, "val_count": 4, "height": 96, "width": 128}),
        ("segment", {"count": 3, "val_count": 2, "height": 96, "width": 128}),
    ],
)
def test_every_frozen_benchmark_takes_it(benchmark, draw, tmp_path):
    synthesize("coco" if benchmark == "knn" else benchmark, tmp_path / "data", **draw)
    record = evaluate("pixels/16", benchmark, tmp_path / "data", tmp_path / "out")
    assert (record.model.method, record.status) == ("pixels", "complete")
    assert np.isfinite(record.metrics[record.headline].value)


def test_a_detector_cannot_train_it(tmp_path):
    synthesize("coco", tmp_path / "data", count=4, val_count=3, height=96, width=128)
    with pytest.raises(UserError, match=r"pixels/16 has 1"):
        evaluate("pixels/16", "coco", tmp_path / "data", tmp_path / "out", config="configs/coco/mask-rcnn_smoke.py")
