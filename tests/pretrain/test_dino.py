"""DINO: one step equals the published computation for every case file, and whole steps equal a plain one."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from support.dino_case import DinoCase, dino_cases

from flsl.architecture import EncoderConfig
from flsl.objective import HeadConfig, Temperature
from pretrain.batch import Batch
from pretrain.method import build_model
from pretrain.methods.dino import Dino, Recipe, cross_view_loss
from pretrain.recipe import CentroidOptimizer, Runtime, Training
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep

# loss; logits; center; gradients, relative to their norm where they are stored in float32
LIMITS = {torch.float64: (1e-9, 1e-9, 1e-9, 1e-6), torch.float32: (1e-5, 1e-5, 1e-6, 1e-5)}
ENCODER = EncoderConfig(
    "custom", 8, 32, embed_dim=32, depth=2, num_heads=2, class_token=True, position_embedding="learned"
)


@pytest.mark.parametrize("dtype", LIMITS, ids=["float64", "float32"])
@pytest.mark.parametrize("path", dino_cases())
def test_dino_reference_step_equals_the_published_computation(path, dtype):
    case = DinoCase(path)
    loss_limit, logits_limit, center_limit, gradient_limit = LIMITS[dtype]
    model, batch = case.build(dtype), case.batch(dtype)
    with torch.no_grad():
        for side, views in (("student", batch.views), ("teacher", batch.views[: model.teacher_views])):
            expected = torch.from_numpy(case.arrays[f"expect/logits_{side}"])
            assert (getattr(model, side)(views).double() - expected).abs().max() <= logits_limit, side
    output = model(batch, case.values())
    output.loss.backward()
    assert abs(float(output.loss.detach()) - float(case.arrays["expect/loss"])) <= loss_limit
    parameters, compared = dict(model.student.named_parameters()), 0
    for name, expected in case.tensors("expect/grad", torch.float64).items():
        found = parameters[name].grad.double()
        assert (found - expected).norm() <= gradient_limit * max(float(expected.norm()), 1e-3), name
        compared += 1
    for name, expected in case.tensors("expect/grad_norm", torch.float64).items():
        assert abs(float(parameters[name].grad.double().norm() - expected)) <= gradient_limit * max(
            float(expected), 1e-3
        ), name
    assert compared
    model.after_step([output.carried], torch.tensor(0.0), torch.tensor(False))
    assert (model.center.double() - torch.from_numpy(case.arrays["center_after"])).abs().max() <= center_limit


@pytest.mark.parametrize("path", dino_cases())
def test_dino_reference_step_in_two_micro_batches(path):
    """The loss is a mean over images, so that parts of a batch give the gradient and the center of the whole."""
    case = DinoCase(path)
    model, batch = case.build(torch.float64), case.batch(torch.float64)
    outputs = [
        model(batch.filled_with([t[i : i + 1] for t in batch.tensors()]), case.values())
        for i in range(len(batch.views[0]))
    ]
    sum(o.loss for o in outputs).div(len(outputs)).backward()
    for name, expected in case.tensors("expect/grad", torch.float64).items():
        found = dict(model.student.named_parameters())[name].grad
        assert (found - expected).norm() <= 1e-6 * max(float(expected.norm()), 1e-3), name
    model.after_step([o.carried for o in outputs], torch.tensor(0.0), torch.tensor(False))
    assert (model.center - torch.from_numpy(case.arrays["center_after"])).abs().max() <= 1e-9


def setting(**head):
    return Recipe(
        encoder=ENCODER,
        head=HeadConfig(**{"centroids": 12, "hidden_dim": 24, "bottleneck_dim": 8} | head),
        temperature=Temperature(teacher_start=0.02, teacher=0.07, warmup_epochs=3),
        dino=Dino(center_momentum=0.8),
        optimizer=CentroidOptimizer(lr=0.5, warmup_fraction=0.0, clip=0.05, ema_momentum=0.7),
        training=Training(epochs=3, batch_size=4, precision="fp32", drop_path=0.0),
        runtime=Runtime(log_every=1, compile=False),
    )


def draw_views(seed, n_local, images=4):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(images, 3, s, s, generator=generator, dtype=torch.float64) for s in [32] * 2 + [16] * n_local]


@pytest.mark.parametrize(("n_local", "norm_last_layer"), [(3, True), (0, False)])
def test_dino_steps_equal_plain_ones(n_local, norm_last_layer):
    """Temperature ramp, clip per tensor, frozen last layer, AdamW with its decay, teacher and center, written out."""
    recipe = setting(norm_last_layer=norm_last_layer)
    schedules = Schedules.of(recipe, steps_per_epoch=1)
    model = build_model(recipe).double()
    plain = copy.deepcopy(model)
    step = TrainingStep(model, recipe, schedules, torch.device("cpu"))
    named = [(n, p) for n, p in plain.student.named_parameters() if p.requires_grad]
    assert ("head.last_layer.weight_g" in dict(named)) is not norm_last_layer
    groups = [{"params": [p for _, p in named if p.ndim > 1]}, {"params": [p for _, p in named if p.ndim == 1]}]
    optimizer = torch.optim.AdamW(groups, lr=0.0, foreach=False)
    temperatures = [0.02, 0.045, 0.07]
    for number in range(3):
        views = draw_views(number, n_local)
        scalars = step([Batch(views)], number)
        students = [plain.student([view]) for view in views]
        with torch.no_grad():
            teachers = [plain.teacher([view]) for view in views[:2]]
        pairs = [
            -(F.softmax((t - plain.center) / temperatures[number], -1) * F.log_softmax(s / 0.1, -1)).sum(-1).mean()
            for i, t in enumerate(teachers)
            for j, s in enumerate(students)
            if i != j
        ]
        loss = sum(pairs) / len(pairs)
        assert float(scalars["loss"]) == pytest.approx(loss.item(), abs=1e-10)
        optimizer.zero_grad()
        loss.backward()
        for _, p in named:
            p.grad.mul_(min(1.0, 0.05 / (float(p.grad.norm()) + 1e-6)))
        for name, p in named:
            if number == 0 and "last_layer" in name:
                p.grad = None
        progress = (1 + math.cos(math.pi * number / 3)) / 2
        optimizer.param_groups[0] |= {
            "lr": 1e-6 + (0.5 * 4 / 256 - 1e-6) * progress,
            "weight_decay": 0.4 - 0.36 * progress,
        }
        optimizer.param_groups[1] |= {"lr": 1e-6 + (0.5 * 4 / 256 - 1e-6) * progress, "weight_decay": 0.0}
        optimizer.step()
        momentum = 1 - 0.3 * progress
        with torch.no_grad():
            plain.center = 0.8 * plain.center + 0.2 * torch.cat(teachers).mean(0, keepdim=True)
            for p, q in zip(plain.student.parameters(), plain.teacher.parameters()):
                q.mul_(momentum).add_(p, alpha=1 - momentum)
    for (name, ours), theirs in zip(model.state_dict().items(), plain.state_dict().values()):
        assert (ours - theirs).abs().max() < 1e-8, name


def test_a_skipped_dino_step_leaves_the_center_as_it_is():
    recipe = setting()
    step = TrainingStep(build_model(recipe), recipe, Schedules.of(recipe, 1), torch.device("cpu"))
    views = [view.float() for view in draw_views(0, 1)]
    assert not step([Batch(views)], 0)["skipped"]
    before = copy.deepcopy(step.model.state_dict())
    views[0][0, 0, 0, 0] = float("nan")
    assert step([Batch(views)], 1)["skipped"]
    for name, value in step.model.state_dict().items():
        assert torch.equal(value, before[name]) or name.startswith("teacher."), name


def test_dino_pairs_leave_out_the_same_view():
    logits = torch.randn(6, 5, dtype=torch.float64)  # three views of two images
    before = cross_view_loss(logits, logits[:4], views=3, teacher_views=2)
    assert before == pytest.approx(
        float(
            -sum(
                (F.softmax(logits[2 * i + b], -1) * F.log_softmax(logits[2 * j + b], -1)).sum()
                for i in range(2)
                for j in range(3)
                for b in range(2)
                if i != j
            )
            / 8
        )
    )
