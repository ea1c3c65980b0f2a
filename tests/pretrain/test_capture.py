"""A step that is recorded once and replayed computes what it would compute each time; nothing in it waits for the device."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from support.tape import Tape, record_on_tape

from flsl.architecture import EncoderConfig
from flsl.objective import HeadConfig, Loss, MeanShift, Temperature
from flsl.runtime.errors import UserError
from flsl.sampling import draw_queries
from pretrain.apply_batched import apply_batched
from pretrain.batch import Batch
from pretrain.methods.flsl import Method, Recipe
from pretrain.optimizer import multiply_alike
from pretrain.photometric import as_tensor, draw_photometric
from pretrain.recipe import CentroidOptimizer, Runtime, Training
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep

ENCODER = EncoderConfig("custom", 8, 48, embed_dim=32, depth=2, num_heads=2)
CPU = torch.device("cpu")


def draw_batch(seed, batch=2):
    generator = torch.Generator().manual_seed(seed)
    views = [torch.randn(batch, 3, s, s, generator=generator) for s in (48, 48, 32, 32)]
    queries = [draw_queries(batch, s // 8, w, "random", generator) for s, w in ((48, 4), (32, 2), (32, 2))]
    return Batch(views, {"queries": queries, "paths": [torch.rand(batch, 2, 2, generator=generator) for _ in queries]})


def build(precision, record=None, checkpointing=False):
    """A step of which everything changes from one to the next: rates, decay, scales, temperature, upsilon, center."""
    torch.manual_seed(0)
    recipe = Recipe(
        encoder=ENCODER,
        mean_shift=MeanShift(scale_sa=0.05, scale_ca=0.1, scale_sa_start=0.01, scale_ca_start=0.2),
        temperature=Temperature(warmup_epochs=3),
        loss=Loss(centering=True, upsilon_start=0.5),
        training=Training(epochs=3, batch_size=64, precision=precision),
        runtime=Runtime(log_every=1),
        optimizer=CentroidOptimizer(lr=0.05, clip=0.05, weight_decay=1.0),
    )
    model = Method(ENCODER, HeadConfig(16, 32, 16), loss=recipe.loss, drop_path=0.5)
    model.student.backbone.set_grad_checkpointing(checkpointing)
    step = TrainingStep(model, recipe, Schedules.of(recipe, steps_per_epoch=2), CPU, record=record)
    if step.scaler.is_enabled():  # or it would look for its scale all the time
        step.scaler.load_state_dict(step.scaler.state_dict() | {"scale": 16.0})
    return step


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_replayed_steps_equal_steps(precision, parts):
    one_by_one, recorded, earlier = build(precision), build(precision, record_on_tape), []
    for step in range(6):  # the last layer is frozen in the first two: a second recording
        batches = [draw_batch(10 * step + part) for part in range(parts)]
        if step == 4:
            batches[0].views[1][0, 0, 0, 0] = float("nan")
        expected = one_by_one(copy.deepcopy(batches), step)
        scalars = recorded(batches, step)
        assert scalars.keys() == expected.keys()
        assert float(scalars["skipped"]) == (step == 4)
        earlier.append((scalars["loss"], float(scalars["loss"])))
        for name, value in expected.items():
            same = torch.allclose(scalars[name], value.to(scalars[name]), rtol=0, atol=0, equal_nan=True)
            assert same, (step, name)
    assert scalars["gradient_norm"].isfinite()
    np.testing.assert_array_equal(*zip(*earlier))  # no replay wrote over what one before it returned
    for (name, value), other in zip(one_by_one.model.state_dict().items(), recorded.model.state_dict().values()):
        assert torch.equal(value, other), name
    ours, theirs = (s.optimizer.state_dict()["state"] for s in (one_by_one, recorded))
    assert all(torch.equal(ours[i][k], theirs[i][k]) for i in ours for k in ours[i])


def test_a_replay_goes_on_from_a_state():
    whole = build("fp32", record_on_tape)
    for step in range(4):
        whole([draw_batch(step)], step)
    first, second = build("fp32", record_on_tape), build("fp32", record_on_tape)
    for step in range(2):
        first([draw_batch(step)], step)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for step in range(2, 4):
        second([draw_batch(step)], step)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), second.model.parameters()))


def test_a_recording_ends_with_its_step():
    """A bench or a notebook makes one after the other, and a graph's memory is all that a step takes."""
    gc.disable()
    try:
        step = build("fp32", record_on_tape)
        step([draw_batch(0)], 0)
        left = weakref.ref(step.captured)
        del step
        assert left() is None
    finally:
        gc.enable()


def test_no_gradient_is_waited_for_when_recording_begins():
    """Nodes that were made before belong to another stream: a CUDA graph that waited for it could not be recorded."""

    def nodes():
        return [torch.autograd.graph.get_gradient_edge(p).node.metadata for p in step.parameters]

    def record(run):
        for node in nodes():
            node["before"] = True
        older.append(sum("before" in node for node in nodes()))
        return record_on_tape(run)

    older = []
    step = build("fp32", record)
    step([draw_batch(0)], 0)
    assert older == [0]


def test_a_step_that_cannot_be_recorded_says_what_runs():
    def record(run):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nSearch for ...")

    with pytest.raises(UserError, match=r"when stream is capturing\. .*cuda_graph=False.*compile=False"):
        build("fp32", record)([draw_batch(0)], 0)

    def run_out(run):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        build("fp32", run_out)([draw_batch(0)], 0)


def test_recomputed_activations_leave_out_the_same_branches():
    plain, recomputed = build("fp32"), build("fp32", record_on_tape, checkpointing=True)
    for step in range(2):
        plain([draw_batch(step)], step)
        recomputed([draw_batch(step)], step)
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), recomputed.model.parameters()))


def test_vectors_of_one_length_are_multiplied_together():
    """As a GPU clips gradients: a kernel for each length, not for each bias."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (3,), (5,), (3,), (), (3,), (2, 2, 2), (5,)]
    plain = [torch.randn(shape, generator=generator) for shape in shapes]
    factors = [torch.rand((), generator=generator) for _ in shapes]
    fast = [tensor.clone() for tensor in plain]
    torch._foreach_mul_(plain, factors)
    with Tape() as tape:
        multiply_alike(fast, factors)
    assert all(torch.equal(a, b) for a, b in zip(fast, plain))
    alone = [arguments[0] for function, arguments, *_ in tape.operations if "_foreach_mul_" in str(function)]
    assert [[tensor.ndim for tensor in tensors] for tensors in alone] == [[2, 0, 3]]
    for alike in ([torch.ones(3)], [torch.ones(2, 3)]):
        multiply_alike(alike, [torch.tensor(2.0)])
        assert (alike[0] == 2).all()


def test_a_wait_is_noticed():
    with Tape(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(1).item()


def test_colors_are_changed_without_a_wait():
    random = np.random.default_rng(0)
    parameters = as_tensor([draw_photometric(random) for _ in range(6)])
    crops = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    with Tape() as tape:
        views = apply_batched(crops, parameters)
    names = {function.overloadpacket.__name__ for function, *_ in tape.operations}
    assert not names & {"lift_fresh", "lift_fresh_copy"}  # Python's numbers, which would be uploaded
    expected = views.clone()
    crops.random_(0, 256)
    parameters.copy_(as_tensor([draw_photometric(random) for _ in range(6)]))
    tape.replay()
    assert not torch.equal(views, expected)
    assert torch.equal(views, apply_batched(crops, parameters))
