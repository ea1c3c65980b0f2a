"""What a UAVDT run would cost (`--plan`), and where its time goes (`bench`)."""

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from eval.detector.probe import Probe, bench_input, print_bench, print_plan, probe
from eval.detector.recipe import read_recipe
from eval.uavdt.layout import open_layout
from eval.uavdt.recipe import UavdtRecipe
from eval.uavdt.run import split_files, write_splits
from flsl.runtime.device import choose_device


def plan(*, checkpoint: str, data: Path, config: Path, overrides: Sequence[str], seed: int, device: str) -> None:
    """Print what a run would do.

    Raises:
        UserError: whatever would stop the run itself.
    """
    measured, recipe, images = _measure(checkpoint, data, config, overrides, seed, device)
    print_plan(measured, recipe, checkpoint, images, choose_device(device))


def bench(
    *,
    checkpoint: str | None,
    data: Path | None,
    config: Path,
    overrides: Sequence[str],
    seed: int,
    device: str,
    draw: Callable[..., object],
) -> None:
    """Print the time of a step and of detection by its parts, and memory.

    Without data they are drawn: `draw(folder, **sizes)`, of `eval.data.synthesize`.

    Raises:
        UserError: whatever would stop the run itself.
    """
    recipe, _ = read_recipe(config, overrides, UavdtRecipe)
    drawn = partial(draw, sequences=1, train_sequences=1, frames=16, height=540, width=1024)
    with bench_input(checkpoint, data, recipe, drawn) as (checkpoint, data):
        print_bench(_measure(checkpoint, data, config, overrides, seed, device)[0])


def _measure(
    checkpoint: str, data: Path, config: Path, overrides: Sequence[str], seed: int, device: str
) -> tuple[Probe, UavdtRecipe, int]:
    """Return the measurements, the recipe and the number of test images."""
    recipe, _ = read_recipe(config, overrides, UavdtRecipe)
    layout = open_layout(data)
    layout.require_frames()
    with tempfile.TemporaryDirectory(prefix="flsl-probe-") as folder:  # each process writes its own
        train, test = split_files(layout, recipe, Path(folder))
        write_splits(layout, recipe, train, test)
        measured = probe(
            recipe,
            checkpoint,
            train=(train, layout.root),
            test=(test, layout.root),
            seed=seed,
            device=choose_device(device),
        )
        return measured, recipe, len(json.loads(test.read_bytes())["images"])
