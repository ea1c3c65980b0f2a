"""What a UAVDT run would cost (`--plan`), and where its time goes (`bench`)."""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path

from eval.data.synthesize.uavdt import synthesize
from eval.detector.probe import Probe, bench_input, print_bench, print_plan, probe
from eval.detector.recipe import read_recipe
from eval.uavdt.layout import open_layout
from eval.uavdt.recipe import UavdtRecipe
from eval.uavdt.run import split_files, write_splits
from flsl.runtime.device import choose_device


def plan(arguments: argparse.Namespace) -> None:
    """Print what the command would do.

    Raises:
        UserError: whatever would stop the run itself.
    """
    measured, recipe, images = _measure(arguments)
    print_plan(measured, recipe, arguments.checkpoint, images, choose_device(arguments.device))


def bench(arguments: argparse.Namespace) -> None:
    """Print the time of a step and of detection by its parts, and memory.

    Raises:
        UserError: whatever would stop the run itself.
    """
    draw = partial(synthesize, seed=0, sequences=1, train_sequences=1, frames=16, height=540, width=1024)
    with bench_input(arguments, draw):
        print_bench(_measure(arguments)[0])


def _measure(arguments: argparse.Namespace) -> tuple[Probe, UavdtRecipe, int]:
    """Return the measurements, the recipe and the number of test images."""
    layout = open_layout(arguments.data)
    layout.require_frames()
    recipe, _ = read_recipe(arguments.config, arguments.overrides, UavdtRecipe)
    with tempfile.TemporaryDirectory(prefix="flsl-probe-") as folder:  # each process writes its own
        train, test = split_files(layout, recipe, Path(folder))
        write_splits(layout, recipe, train, test)
        measured = probe(
            recipe,
            arguments.checkpoint,
            train=(train, layout.root),
            test=(test, layout.root),
            seed=arguments.seed,
            device=choose_device(arguments.device),
        )
        return measured, recipe, len(json.loads(test.read_bytes())["images"])
