"""Which learning rate and decay each parameter gets."""

import pytest
import torch
from torch import nn

from eval.detector import components  # noqa: F401  (mmcv's operators, before mmdet)
from eval.finetune.backbone import EncoderBackbone
from eval.finetune.optimizer import parameter_groups

TINY = {"architecture": "custom", "embed_dim": 24, "depth": 4, "num_heads": 2, "position_embedding": "learned"}


@pytest.fixture
def detector():
    model = nn.Module()
    model.backbone = EncoderBackbone(TINY, frozen_blocks=0)
    model.head = nn.Linear(3, 3)
    return model


def settings(model, **arguments):
    """Map parameter names to (learning rate, decay)."""
    groups = parameter_groups(model, 1.0, 0.05, **arguments)
    of = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    return {name: of[id(p)] for name, p in model.named_parameters() if id(p) in of}


def test_norms_and_positions_are_not_decayed(detector):
    found = settings(detector, layer_decay=None)
    assert found["backbone.encoder.pos_embed"] == (1.0, 0.0)
    assert found["backbone.encoder.blocks.1.norm1.weight"] == (1.0, 0.0)
    assert found["backbone.pyramid.fpn1.1.weight"] == (1.0, 0.0)  # BatchNorm
    assert found["backbone.encoder.blocks.1.attn.qkv.weight"] == (1.0, 0.05)
    assert found["head.weight"] == (1.0, 0.05)
    # Every trainable parameter once, no frozen one.
    assert set(found) == {name for name, p in detector.named_parameters() if p.requires_grad}
    assert "backbone.encoder.norm.weight" not in found


def test_layer_decay_falls_from_the_last_block_down(detector):
    found = settings(detector, layer_decay=0.5)
    rates = [found[f"backbone.encoder.blocks.{k}.attn.qkv.weight"][0] for k in range(4)]
    assert rates == [0.5**4, 0.5**3, 0.5**2, 0.5**1]
    assert found["backbone.encoder.patch_embed.proj.weight"][0] == 0.5**5
    assert found["backbone.encoder.pos_embed"] == (0.5**5, 0.0)
    assert found["backbone.pyramid.fpn2.0.weight"][0] == found["head.weight"][0] == 1.0


def test_the_groups_are_a_valid_optimizer(detector):
    torch.optim.AdamW(parameter_groups(detector, 1e-3, 0.05, 0.7), fused=True)
