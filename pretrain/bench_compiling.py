"""Compile what training steps run, for several batch sizes beside each other: the compiler keeps it on disk, where the
processes that are timed find it.

python -m pretrain.bench_compiling FILE DEVICE CONFIG:BATCH[:joined] ... [--set KEY=VALUE ...]

`joined` is runtime.join_views.
"""

import argparse
import multiprocessing
import os
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from flsl.commands.arguments import add_changes

THREADS = "3"  # that each of them compiles kernels with; there are several, beside tests


def main() -> int:
    """Compile; FILE gets the seconds of each. Returns the exit code: 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m pretrain.bench_compiling", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("device")
    parser.add_argument("sizes", nargs="+", metavar="CONFIG:BATCH[:joined]")
    add_changes(parser)
    arguments = parser.parse_args()
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", THREADS)  # read when torch is imported
    import pretrain.methods.flsl
    import pretrain.step  # noqa: F401  # once for all, which are forked
    from pretrain.bench import Rows

    rows = Rows(arguments.file)
    context = multiprocessing.get_context("fork")  # nothing here has touched a GPU yet
    with ProcessPoolExecutor(len(arguments.sizes), mp_context=context) as pool:
        done = [pool.submit(compile_step, size, arguments.device, arguments.overrides) for size in arguments.sizes]
        for one in as_completed(done):
            try:
                rows.add(**one.result())
                print(one.result(), flush=True)
            except Exception:  # of one size; the others are told apart by their rows
                traceback.print_exc()
    return 1 if any(one.exception() for one in done) else 0


def compile_step(size: str, device: str, overrides: list[str]) -> dict[str, Any]:
    """Run one training step, colors too, whose encoders have a single block: blocks are alike and compiled once for all."""
    from flsl.runtime.device import choose_device
    from pretrain.batch import to_device
    from pretrain.dataset import draw_sample
    from pretrain.feed import choose_apply
    from pretrain.method import build_model, find_method
    from pretrain.recipe import read_recipe
    from pretrain.schedules import Schedules
    from pretrain.step import TrainingStep

    begin = time.perf_counter()
    config, batch, *joined = size.split(":")
    fixed = ["training.accumulate=1", f"training.batch_size={batch}", "runtime.cuda_graph=False"]
    fixed.append(f"runtime.join_views={bool(joined)}")
    recipe, where = read_recipe(config, [*overrides, *fixed]), choose_device(device)
    model = build_model(recipe)
    for encoder in model.encoders:
        encoder.blocks, encoder.depth = encoder.blocks[:1], 1
    step = TrainingStep(model.to(where), recipe, Schedules.of(recipe, 100), where)
    keep, sample = find_method(recipe).keeps_crops(recipe), draw_sample(recipe, int(batch))
    step([to_device(sample, where, keep, choose_apply(recipe, where))], 1)
    what = f"{recipe.name}{', joined' * bool(joined)}"
    return {"what": what, "batch": int(batch), "seconds": time.perf_counter() - begin}


if __name__ == "__main__":
    raise SystemExit(main())
