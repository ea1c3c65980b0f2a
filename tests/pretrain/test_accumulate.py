"""Gradients that are accumulated over micro-batches are those of the whole batch, also where the objective couples images."""

import gc
import weakref

import pytest
import torch

from flsl.architecture import EncoderConfig
from flsl.objective import HeadConfig, Loss
from flsl.sampling import draw_queries
from pretrain.batch import Batch
from pretrain.methods.flsl import Method, Recipe
from pretrain.recipe import CentroidOptimizer, Runtime, Training
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep

ENCODER = EncoderConfig("custom", 8, 48, embed_dim=32, depth=2, num_heads=2)
IMAGES, CPU = 16, torch.device("cpu")


def whole_batch(dtype, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(IMAGES, 3, s, s, generator=generator, dtype=dtype) for s in (48, 48, 32, 32)]
    queries = [draw_queries(IMAGES, s // 8, w, "random", generator) for s, w in ((48, 4), (32, 2), (32, 2))]
    batch = Batch(
        views, {"queries": queries, "paths": [torch.rand(IMAGES, 2, 2, generator=generator) for _ in queries]}
    )
    return batch.filled_with([tensor.to(device) for tensor in batch.tensors()])


def parts_of(batch, count):
    rows = [slice(i * IMAGES // count, (i + 1) * IMAGES // count) for i in range(count)]
    return [batch.filled_with([t[r] for t in batch.tensors()]) for r in rows]


def build(dtype, device=CPU):
    torch.manual_seed(0)
    model = Method(ENCODER, HeadConfig(16, 32, 16), loss=Loss(centering=True), drop_path=0.3).to(device, dtype)
    with torch.no_grad():  # assignments as sharp as after training: micro-batches use different centroids
        model.student.head.last_layer.weight_g.fill_(3.0)
    recipe = Recipe(
        training=Training(epochs=3, batch_size=IMAGES, precision="fp32"),
        runtime=Runtime(log_every=1, compile=False),
        optimizer=CentroidOptimizer(lr=0.05, warmup_fraction=0, freeze_last_layer=0, clip=0),
    )
    return TrainingStep(model, recipe, Schedules.of(recipe, steps_per_epoch=1), device)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-13)], ids=["fp32", "fp64"])
@pytest.mark.parametrize("count", [2, 8])
def test_accumulated_gradients_equal_those_of_the_whole_batch(count, dtype, limit, device):
    batch = whole_batch(dtype, device)
    whole, accumulated = build(dtype, device), build(dtype, device)
    if device.type == "cuda":
        limit *= 10  # sums over fewer rows are taken in another order
    ours, theirs = whole([batch], 0), accumulated(parts_of(batch, count), 0)
    for name in ("loss", "intra", "inter", "vmr", "assignment_entropy"):
        assert abs(ours[name] - theirs[name]) <= limit * max(1, abs(ours[name])), name
    assert float(ours["vmr"]) > 0.01
    compared = 0
    for (name, one), other in zip(whole.model.student.named_parameters(), accumulated.model.student.parameters()):
        if one.grad is not None:
            assert (one.grad - other.grad).norm() <= limit * max(1, one.grad.norm()), name
            compared += one.grad.norm() > 1e-3
    assert compared > 10
    assert (whole.model.center - accumulated.model.center).abs().max() <= limit


def test_micro_batches_taken_alone_have_another_objective():
    """What was computed before, and what the test above would notice."""
    batch, step = whole_batch(torch.float64), build(torch.float64)
    values = step.schedules.values(0)

    def volume(part):
        return float(step.model(part, values).scalars["vmr"])

    assert sum(map(volume, parts_of(batch, 8))) / 8 > 1.01 * volume(batch)


def test_one_micro_batch_is_in_memory_at_a_time():
    step, alive = build(torch.float32), []
    most = 0

    def note(module, inputs, output):
        nonlocal most
        gc.collect()
        alive.append(weakref.ref(output.health.__self__.tokens_student[0]))
        most = max(most, sum(ref() is not None for ref in alive))

    step.model.register_forward_hook(note)
    step(parts_of(whole_batch(torch.float32), 4), 0)
    assert (len(alive), most) == (4, 1)


def test_draws_of_stochastic_depth_decide_which_branches_stay():
    torch.manual_seed(0)
    model = Method(ENCODER, HeadConfig(16, 32, 16), drop_path=0.5).double()
    images, block = torch.randn(3, 3, 48, 48, dtype=torch.float64), model.student.backbone.blocks[1]
    kept = torch.ones(2, 2, 3, dtype=torch.float64)
    kept[1, :, 1] = 0  # both branches of the second block, of the second image
    kept[1, :, 2] = 2
    (before,) = model.student.backbone.patch_tokens(images, [0], norm=False)
    (after,) = model.student.backbone.patch_tokens(images, norm=False, kept=kept)
    assert torch.equal(after[1], before[1])
    block.eval()
    assert torch.allclose(after[0], block(before)[0])
    middle = before[2] + 2 * block.attn(block.norm1(before))[2]
    assert torch.allclose(after[2], middle + 2 * block.mlp(block.norm2(middle)))
