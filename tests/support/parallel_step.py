"""Two optimizer steps of a tiny model on one rank of several; what they changed is saved for comparison."""

import sys
from pathlib import Path

import torch

from flsl.architecture import EncoderConfig
from flsl.model import FLSL
from flsl.objective import HeadConfig, Loss
from flsl.runtime.distributed import data_parallel, start_ranks, stop_ranks
from flsl.sampling import draw_queries
from pretrain.recipe import Optimizer, Recipe, Runtime, Training
from pretrain.schedules import Schedules
from pretrain.step import Batch, TrainingStep

BATCH, STEPS = 4, 2


def main(out: Path) -> None:
    """Run this rank's share of the global batch."""
    torch.set_num_threads(1)
    ranks = start_ranks("cpu")
    torch.manual_seed(0)
    encoder = EncoderConfig("custom", 8, 48, embed_dim=32, depth=2, num_heads=2)
    model = FLSL(encoder, HeadConfig(16, 32, 16), loss=Loss(centering=True)).double()
    recipe = Recipe(
        training=Training(epochs=STEPS, batch_size=BATCH, precision="fp32"),
        runtime=Runtime(log_every=1),
        optimizer=Optimizer(lr=0.5, warmup_fraction=0, freeze_last_layer=0),
    )
    schedules = Schedules.of(recipe, steps_per_epoch=1)
    step = TrainingStep(model, recipe, schedules, ranks.device, lambda module: data_parallel(module, ranks))
    generator = torch.Generator().manual_seed(1)
    for i in range(STEPS):
        views = [torch.randn(BATCH, 3, s, s, generator=generator, dtype=torch.float64) for s in (48, 48, 32, 32)]
        queries = [draw_queries(BATCH, s // 8, w, "random", generator) for s, w in ((48, 4), (32, 2), (32, 2))]
        share = BATCH // ranks.world
        rows = slice(ranks.rank * share, (ranks.rank + 1) * share)
        scalars = step([Batch([v[rows] for v in views], [q[rows] for q in queries])], i)
    result = {
        "gradients": {n: p.grad for n, p in model.student.named_parameters() if p.grad is not None},
        "weights": model.state_dict(),
        "vmr": scalars["vmr"],
    }
    torch.save(result, out / f"rank_{ranks.rank}_of_{ranks.world}.pt")
    stop_ranks()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
