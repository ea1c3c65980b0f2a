"""The fast training step equals the plain one; skipped steps leave the weights alone."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from flsl.architecture import EncoderConfig
from flsl.encoder import Encoder
from flsl.multi_crop import encode_views
from flsl.objective import HeadConfig
from flsl.sampling import draw_queries
from pretrain.batch import Batch
from pretrain.methods.flsl import Method, Recipe
from pretrain.plain import PlainStep
from pretrain.recipe import CentroidOptimizer, Runtime, Training
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep

ENCODER = EncoderConfig("custom", 8, 48, embed_dim=32, depth=2, num_heads=2)


def setting(epochs=2, steps_per_epoch=2):
    recipe = Recipe(
        training=Training(epochs=epochs, batch_size=64, precision="fp32"),
        runtime=Runtime(log_every=1, compile=False),
        optimizer=CentroidOptimizer(lr=0.05, warmup_fraction=0.0, clip=0.05),
    )
    return recipe, Schedules.of(recipe, steps_per_epoch)


def draw_batch(seed, dtype=torch.float64, batch=3, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    views = [torch.randn(batch, 3, s, s, generator=generator, dtype=dtype) for s in (48, 48, 32, 32)]
    queries = [draw_queries(batch, s // 8, w, "random", generator) for s, w in ((48, 4), (32, 2), (32, 2))]
    return Batch([view.to(device) for view in views], {"queries": [places.to(device) for places in queries]})


@pytest.mark.parametrize("join", [False, True], ids=["apart", "joined"])
@pytest.mark.parametrize("shift", [0, 64])
def test_fast_step_equals_plain_step(device, shift, join):
    torch.manual_seed(0)
    recipe, schedules = setting()
    recipe = replace(recipe, runtime=replace(recipe.runtime, join_views=join))
    if device.type == "cuda":  # whose optimizer has its learning rate in float32: both sides get such a one
        schedules.lr[:] = schedules.lr.astype(np.float32)
    model = Method(ENCODER, HeadConfig(16, 32, 16)).double().to(device)
    fast = TrainingStep(copy.deepcopy(model), recipe, schedules, device)
    assert [encoder.joins_sizes for encoder in fast.model.encoders] == [join] * 2
    plain = PlainStep(copy.deepcopy(model), recipe, schedules)
    for step in range(4):
        batch = draw_batch(step, device=device)
        if shift:
            batch.drawn["shifts"] = [shift * torch.rand(len(view), 2, device=device) for view in batch.views]
        ours, theirs = fast([batch], step), plain([batch], step)
        limit = 1e-10 if device.type == "cpu" else 1e-7
        for name, value in theirs.items():
            assert abs(float(ours[name]) - value) < limit, (step, name)
    for (name, ours), theirs in zip(fast.model.named_parameters(), plain.model.parameters()):
        assert (ours - theirs).abs().max() < 1e-7, name


def test_mixed_precision_stays_close():
    torch.manual_seed(0)
    recipe, schedules = setting()
    model = Method(ENCODER, HeadConfig(16, 32, 16))
    results = []
    for precision in ("fp32", "bf16"):
        changed = Recipe(training=Training(epochs=2, batch_size=64, precision=precision), optimizer=recipe.optimizer)
        step = TrainingStep(copy.deepcopy(model), changed, schedules, torch.device("cpu"))
        results.append(float(step([draw_batch(0, torch.float32)], 0)["loss"]))
    assert abs(results[0] - results[1]) < 0.02 * results[0]


def test_non_finite_step_leaves_weights_alone(device):
    recipe, schedules = setting()
    step = TrainingStep(Method(ENCODER, HeadConfig(16, 32, 16)).to(device), recipe, schedules, device)
    step([draw_batch(0, torch.float32, device=device)], 2)
    before = copy.deepcopy(step.model.student.state_dict())
    batch = draw_batch(1, torch.float32, device=device)
    batch.views[1][0, 0, 0, 0] = float("nan")
    assert float(step([batch], 3)["skipped"]) == 1
    for name, value in step.model.student.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert float(step([draw_batch(2, torch.float32, device=device)], 3)["skipped"]) == 0


def test_activation_checkpointing_gives_equal_gradients():
    torch.manual_seed(0)
    model = Method(ENCODER, HeadConfig(16, 32, 16)).double()
    gradients = []
    for enabled in (False, True):
        model.student.backbone.set_grad_checkpointing(enabled)
        model.zero_grad()
        _, schedules = setting()
        batch = draw_batch(0)
        model(batch, schedules.values(0)).loss.backward()
        gradients.append([p.grad.clone() for p in model.student.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*gradients))


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("prefix", [False, True])
def test_joined_views_have_the_tokens_and_gradients_of_separate_ones(prefix, recomputed):
    """With class and register tokens, positions of their own, and stochastic depth that was drawn."""
    torch.manual_seed(0)
    config = replace(ENCODER, class_token=True, register_tokens=2)
    encoder = Encoder(config, drop_path=0.5).double()
    encoder.set_grad_checkpointing(recomputed)
    views = draw_batch(0).views
    paths = [torch.rand(len(view), 2, 2, dtype=torch.float64) for view in views]
    shifts = [torch.rand(len(view), 2, dtype=torch.float64) for view in views]
    drop = torch.tensor([0.3, 0.5], dtype=torch.float64)[:, None, None]
    found = []
    for encoder.joins_sizes in (False, True):
        encoder.zero_grad()
        encoded = encode_views(encoder, drop, views, paths, shifts, prefix)
        torch.cat([tokens.flatten(0, 1) for _, tokens in encoded])[::3].pow(2).mean().backward()
        tokens, gradients = (tokens for _, tokens in encoded), (p.grad for p in encoder.parameters() if p.requires_grad)
        found.append([[group for group, _ in encoded], *tokens, *gradients])
    assert found[0][0] == found[1][0] == [[0, 1], [2, 3]]
    for ours, theirs in zip(found[1][1:], found[0][1:], strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


def test_views_are_not_joined_where_blocks_draw_stochastic_depth_themselves():
    torch.manual_seed(0)
    encoder, views, found = Encoder(ENCODER, drop_path=0.5).double(), draw_batch(0).views, []
    for encoder.joins_sizes in (False, True):
        torch.manual_seed(1)
        encoded = encode_views(encoder, torch.tensor([0.0, 0.5])[:, None, None], views)
        found.append(torch.cat([tokens.flatten(0, 1) for _, tokens in encoded]))
    assert torch.equal(*found)


def test_empty_centroids_stay_finite():
    model = Method(ENCODER, HeadConfig(16, 32, 16))
    with torch.no_grad():  # student assignments so sharp that probabilities underflow to 0
        model.student.head.last_layer.weight_g.fill_(1e5)
    _, schedules = setting()
    batch = draw_batch(0, torch.float32)
    output = model(batch, schedules.values(0)).health.__self__
    output.loss.backward()
    assert (output.p_bar == 0).any()
    assert torch.isfinite(output.loss)
    assert all(torch.isfinite(p.grad).all() for p in model.student.parameters() if p.grad is not None)


def test_explicit_attention_equals_the_fused_one():
    """In bfloat16 training on a CPU short sequences take another path; the gradients are the same up to rounding."""
    torch.manual_seed(0)
    encoder = Method(ENCODER, HeadConfig(16, 32, 16)).student.backbone
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            encoder(draw_batch(0, torch.float32).views[0])[:, ::2].float().pow(2).mean().backward()
        gradients.append(encoder.blocks[0].attn.qkv.weight.grad.clone())
    assert (gradients[1] - gradients[0]).norm() < 0.05 * gradients[0].norm()
    assert all(block.attn.fused_attn for block in encoder.blocks)


@pytest.mark.slow
@pytest.mark.parametrize("join", [False, True], ids=["apart", "joined"])
def test_compiled_step_equals_plain_step(device, join):
    """torch.compile needs a C++ compiler on a CPU. Blocks are compiled once for all; pictures of other sizes are not."""
    if device.type == "cpu" and not shutil.which("g++"):
        pytest.skip("no g++")
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    torch.manual_seed(0)
    recipe, schedules = setting()
    model = Method(ENCODER, HeadConfig(16, 32, 16)).to(device)
    compiled = replace(recipe, runtime=replace(recipe.runtime, compile=True, join_views=join))
    fast = TrainingStep(copy.deepcopy(model), compiled, schedules, device)
    plain = PlainStep(copy.deepcopy(model), recipe, schedules)
    for step in range(3):
        ours, theirs = (side([draw_batch(step, torch.float32, device=device)], step) for side in (fast, plain))
        assert float(ours["loss"]) == pytest.approx(theirs["loss"], rel=1e-4), step
    assert list(fast.model.state_dict()) == list(model.state_dict())
    graphs = counters["stats"]["unique_graphs"]
    assert graphs == 3 - join  # of the teacher, and of the student's two sizes
    fast.model.teacher.backbone.feature_maps(torch.randn(1, 3, 64, 40, device=device))
    assert counters["stats"]["unique_graphs"] == graphs
