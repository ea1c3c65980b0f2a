"""Two optimizer steps of a tiny model on one rank of several; what they changed is saved for comparison.

python -m support.parallel_step OUT [DEVICE [BACKEND [PARTS]]]     with a backend one rank has a process group too; PARTS as in 1,2
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from support.comparators import COMPARATORS, draw_batch, tiny_recipe
from torch.nn.parallel import DistributedDataParallel

from flsl.architecture import EncoderConfig
from flsl.objective import HeadConfig, Loss
from flsl.runtime.device import choose_device
from flsl.runtime.distributed import Ranks, data_parallel, start_ranks, stop_ranks
from flsl.sampling import draw_queries
from pretrain.batch import Batch
from pretrain.method import build_model
from pretrain.methods import dense
from pretrain.methods.flsl import Method, Recipe
from pretrain.recipe import CentroidOptimizer, Runtime, Training
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep

BATCH, STEPS = 8, 2


def launch(out, world, device="cpu", backend="", parts=(1,)):
    """What each rank saved, on the CPU, once for each number of micro-batches."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), environment.get("PYTHONPATH", "")])
    if (device := torch.device(device)).type == "cuda":  # one GPU is all that they see
        environment["CUDA_VISIBLE_DEVICES"] = str(device.index or 0)
        device = "cuda:0"
    ranks = ["flsl", "launch", world] if world > 1 else []
    words = [sys.executable, "-m", *ranks, "support.parallel_step", out, device, backend, ",".join(map(str, parts))]
    subprocess.run(
        [*map(str, words)],
        env=environment,
        check=True,
        timeout=120,
    )
    files = [result_file(out, rank, world, backend, number) for number in parts for rank in range(world)]
    return [torch.load(file, map_location="cpu", weights_only=True) for file in files]


def comparators(out, world):
    """What the ranks of `launch` saved of the other methods, by name, for each rank."""
    return [torch.load(result_file(out, rank, world, "", "other"), weights_only=True) for rank in range(world)]


def result_file(out, rank, world, backend, parts):
    return out / f"rank_{rank}_of_{world}_{backend}_parts_{parts}.pt"


def assert_equal(actual, expected, limit=1e-6):
    for group in ("gradients", "weights"):
        assert actual[group].keys() == expected[group].keys()
        for name, value in expected[group].items():
            assert (actual[group][name] - value).abs().max() <= limit, (group, name)


def main(out: Path, device: str = "cpu", backend: str = "", parts: str = "1") -> None:
    """Run this rank's share of the global batch, for each number of micro-batches."""
    torch.set_num_threads(1)
    if backend:
        choose_device(device)
        meeting = f"file://{out.resolve() / 'meeting'}"
        torch.distributed.init_process_group(backend, init_method=meeting, rank=0, world_size=1)
    ranks = start_ranks(device)
    for number in map(int, parts.split(",")):
        run_steps(out, ranks, backend, number)
    if not backend and ranks.device.type == "cpu":
        results = {name: run_comparator(name, ranks) for name in COMPARATORS}
        torch.save(results, result_file(out, ranks.rank, ranks.world, backend, "other"))
    stop_ranks()


def run_comparator(name: str, ranks: Ranks) -> dict:
    """Train a tiny model of another method for two steps; return gradients and weights."""
    recipe = tiny_recipe(name)
    schedules = Schedules.of(recipe, steps_per_epoch=1)
    wrap = partial(data_parallel, ranks=ranks)
    step = TrainingStep(build_model(recipe).double(), recipe, schedules, ranks.device, wrap)
    share = BATCH // ranks.world
    for i in range(STEPS):
        whole = draw_batch(recipe, i, BATCH)
        mine = whole.filled_with([t[ranks.rank * share : (ranks.rank + 1) * share] for t in whole.tensors()])
        step([mine], i)
    gradients = {n: p.grad for n, p in step.model.student.named_parameters() if p.grad is not None}
    return {"gradients": gradients, "weights": step.model.state_dict()}


def run_steps(out: Path, ranks: Ranks, backend: str, parts: int) -> None:
    """Make a model, train it, and save what came out."""
    torch.manual_seed(0)
    encoder = EncoderConfig("custom", 8, 48, embed_dim=32, depth=2, num_heads=2)
    model = Method(encoder, HeadConfig(16, 32, 16), loss=Loss(centering=True), drop_path=0.3).double().to(ranks.device)
    recipe = Recipe(
        training=Training(epochs=STEPS, batch_size=BATCH, precision="fp32"),
        runtime=Runtime(log_every=1, compile=False),
        optimizer=CentroidOptimizer(lr=0.5, warmup_fraction=0, freeze_last_layer=0),
    )
    schedules = Schedules.of(recipe, steps_per_epoch=1)

    def wrap(module):
        if not backend:
            return data_parallel(module, ranks)
        devices = [ranks.device] if ranks.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False)

    step = TrainingStep(model, recipe, schedules, ranks.device, wrap)
    generator = torch.Generator().manual_seed(1)
    for i in range(STEPS):
        views = [torch.randn(BATCH, 3, s, s, generator=generator, dtype=torch.float64) for s in (48, 48, 32, 32)]
        queries = [draw_queries(BATCH, s // 8, w, "random", generator) for s, w in ((48, 4), (32, 2), (32, 2))]
        whole = Batch(
            views, {"queries": queries, "paths": [torch.rand(BATCH, 2, 2, generator=generator) for _ in queries]}
        )
        share = BATCH // (ranks.world * parts)
        starts = [(part * ranks.world + ranks.rank) * share for part in range(parts)]
        batches = [whole.filled_with([t[a : a + share].to(ranks.device) for t in whole.tensors()]) for a in starts]
        scalars = step(batches, i)
    torch.manual_seed(2)
    contrast = dense.Method(dense.Recipe(encoder=encoder)).double().to(ranks.device)
    places = [torch.rand(BATCH, q.shape[1], 2, generator=generator, dtype=torch.float64) * 2 - 1 for q in queries]
    own = slice(ranks.rank * BATCH // ranks.world, (ranks.rank + 1) * BATCH // ranks.world)
    whole = whole.filled_with([t[own].to(ranks.device) for t in whole.tensors()])
    whole.drawn["places"] = [p[own].to(ranks.device) for p in places]
    wrapped = wrap(contrast)  # kept: its hooks average the gradients
    wrapped(whole, {}).loss.backward()
    result = {
        "contrast": [p.grad for p in contrast.student.parameters() if p.grad is not None],
        "gradients": {n: p.grad for n, p in model.student.named_parameters() if p.grad is not None},
        "weights": model.state_dict(),
        "vmr": scalars["vmr"],
    }
    torch.save(result, result_file(out, ranks.rank, ranks.world, backend, parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
