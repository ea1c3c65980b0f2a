"""Steps in mixed precision against float64 on the CPU; steps that overflow or are no numbers change nothing."""

import copy

import pytest
import torch
from support.gpu_step import draw_sample, make_recipe, make_step, need_cuda

from pretrain.batch import to_device

# Relative errors of the loss, and of all gradients together; on a CPU ViT-S/16 has a fifth of them. TF32 in float32 would
# miss the second by far.
LIMITS = {"fp32": (1e-5, 2e-5), "fp16": (5e-4, 4e-3), "bf16": (5e-3, 4e-2)}


@pytest.fixture(scope="module")
def exact(device):
    """A model's loss and gradients by float64 on the CPU, and the model."""
    recipe = make_recipe(device, precision="fp32")
    step = make_step(recipe, torch.device("cpu"))
    wide = copy.deepcopy(step.model).double()
    batch = to_device(draw_sample(recipe), torch.device("cpu"), False)
    batch.views = [view.double() for view in batch.views]
    output = wide(batch, step.schedules.values(0))
    output.loss.backward()
    gradients = {n: p.grad for n, p in wide.student.named_parameters() if p.grad is not None}
    return step.model, float(output.loss.detach()), gradients


@pytest.mark.parametrize("precision", LIMITS)
def test_a_step_is_close_to_float64(precision, device, exact, record_property):
    model, loss, gradients = exact
    recipe = make_recipe(device, precision=precision)
    step, sample = make_step(recipe, device, still=True), draw_sample(recipe)
    step.model.load_state_dict(model.state_dict())
    for _ in range(20):  # until a loss scale fits
        scalars = step([to_device(sample, device, False)], 0)
        found = {n: p.grad.double().cpu() for n, p in step.model.student.named_parameters() if p.grad is not None}
        if all(torch.isfinite(gradient).all() for gradient in found.values()):
            break
    assert found.keys() == gradients.keys()
    loss_error = abs(float(scalars["loss"]) - loss) / abs(loss)
    squares = sum(float((found[n] - g).square().sum()) for n, g in gradients.items())
    gradient_error = (squares / sum(float(g.square().sum()) for g in gradients.values())) ** 0.5
    record_property("precision", precision)
    record_property("loss_error", loss_error)
    record_property("gradient_error", gradient_error)
    assert loss_error <= LIMITS[precision][0]
    assert gradient_error <= LIMITS[precision][1]


@pytest.mark.parametrize("precision", LIMITS)
def test_a_step_that_is_no_number_is_skipped_and_counted(precision, device):
    recipe = make_recipe(device, precision=precision)
    step = make_step(recipe, device)
    good, bad = (to_device(draw_sample(recipe, seed), device, False) for seed in (0, 1))
    bad.views[1][0, 0, 0, 0] = float("nan")
    for _ in range(8):  # until a loss scale fits
        step([good], 100)
    before = copy.deepcopy(step.model.student.state_dict())
    assert float(step([bad], 100)["skipped"]) == 1
    for name, value in step.model.student.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert float(step([good], 100)["skipped"]) == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_steps_of_a_graph_equal_steps_one_by_one(precision, device):
    need_cuda(device)
    results = []
    for graph in (False, True):
        recipe = make_recipe(device, precision=precision, drop_path=0.1, cuda_graph=graph)
        step, losses = make_step(recipe, device), []
        if step.scaler.is_enabled():
            step.scaler.load_state_dict(step.scaler.state_dict() | {"scale": 16.0})
        for number in range(6):
            batch = to_device(draw_sample(recipe, number), device, False)
            if number == 3:
                batch.views[1][0, 0, 0, 0] = float("nan")
            losses.append({k: float(v) for k, v in step([batch], number + 1).items()})
        results.append((losses, [p.detach().clone() for p in step.model.parameters()]))
    (ones, alone), (others, replayed) = results
    limit = 1e-4 if precision == "fp32" else 2e-2
    for one, other in zip(ones, others):
        assert one["skipped"] == other["skipped"]
        if not one["skipped"]:
            assert abs(one["loss"] - other["loss"]) <= limit * abs(one["loss"])
    assert [row["skipped"] for row in ones] == [0, 0, 0, 1, 0, 0]
    moved = sum(float((a - b).square().sum()) for a, b in zip(alone, replayed)) ** 0.5
    assert moved <= limit * sum(float(a.square().sum()) for a in alone) ** 0.5


def test_an_overflow_lowers_the_loss_scale_and_changes_nothing(device):
    recipe = make_recipe(device, precision="fp16")
    step, batch = make_step(recipe, device), to_device(draw_sample(recipe), device, False)
    step.scaler.load_state_dict(step.scaler.state_dict() | {"scale": 2.0**100})
    before = copy.deepcopy(step.model.student.state_dict())
    scalars = step([batch], 100)
    assert not torch.isfinite(scalars["gradient_norm"])
    assert float(scalars["skipped"]) == 0  # a scale that is being looked for is no fault
    assert step.scaler.get_scale() < 2.0**100
    assert all(torch.equal(value, before[name]) for name, value in step.model.student.state_dict().items())
    assert all(torch.isfinite(value).all() for value in step.model.state_dict().values())
