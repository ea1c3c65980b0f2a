"""Command-line arguments that every adapter shares."""

import argparse
from collections.abc import Callable
from pathlib import Path

from flsl.commands.arguments import add_overrides
from flsl.runtime.errors import UserError
from flsl.runtime.slurm import add_launcher, submit


def add_common_arguments(
    parser: argparse.ArgumentParser, checkpoint_required: bool = True, folders_required: bool = True
) -> None:
    """Add --checkpoint, --data, --out, --name, --device, --seed and --when-exists to an adapter's parser."""
    parser.add_argument(
        "--checkpoint",
        required=checkpoint_required,
        metavar="PATH",
        help="encoder to evaluate: a checkpoint of any known layout, a name that `python -m flsl models` lists, timm:NAME, "
        "or random:ARCHITECTURE/PATCH for the untrained baseline, e.g. random:vit_small/16",
    )
    add_overrides(parser)
    parser.add_argument(
        "--data", required=folders_required, type=Path, metavar="DIR", help="the benchmark's folder, official layout"
    )
    parser.add_argument(
        "--out", required=folders_required, type=Path, metavar="DIR", help="where predictions and record.json go"
    )
    parser.add_argument("--name", help="model name in the record (default: taken from the checkpoint)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument(
        "--when-exists",
        choices=("skip", "overwrite", "fail"),
        default="skip",
        help="what to do when --out already holds this result (default: %(default)s)",
    )


def add_config_arguments(parser: argparse.ArgumentParser, default: str, small: str) -> None:
    """Add --config and --set; `default` is the recipe used when --config is not given, `small` the one of `bench`."""
    parser.add_argument(
        "--config", type=Path, metavar="CONFIG", help=f"recipe (default: {default}; of bench without --data: {small})"
    )
    parser.set_defaults(default_config=Path(default), small_config=Path(small))
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change one value of the recipe",
    )


def add_detector_modes(parser: argparse.ArgumentParser) -> None:
    """Add what a detection adapter can do besides a whole run, and --metric-backend."""
    parser.add_argument("mode", nargs="?", choices=("bench",), help="measure the parts of a run; keep nothing")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--plan", action="store_true", help="print what would run, from a 20-step probe; keep nothing")
    mode.add_argument("--test-only", action="store_true", help="use the trained detector in --out; train nothing")
    mode.add_argument("--score-only", action="store_true", help="score saved detections; train and detect nothing")
    parser.add_argument(
        "--metric-backend",
        choices=("faster", "pycocotools"),
        default="faster",
        help="of COCO's metrics: faster-coco-eval, or pycocotools, which gives the same (default: %(default)s)",
    )
    add_launcher(parser)


def submit_self(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> None:
    """Submit a command's own `run` to Slurm: the same run, without the launcher."""
    submit(run, argparse.Namespace(**(vars(arguments) | {"launcher": "none"})))


def check_arguments(arguments: argparse.Namespace, predictions: str) -> None:
    """Check that what an adapter needs is given, and that its options go together; set the recipe if none is named.

    Args:
        arguments: of an adapter with the options of `add_common_arguments`, --score-only and --predictions.
        predictions: what it saves and scores again, for the messages: "detections", "masks".

    Raises:
        UserError: the first option that is missing or has no use.
    """
    if hasattr(arguments, "default_config"):
        arguments.config = arguments.config or arguments.default_config
    plan = getattr(arguments, "plan", False)
    for name in ("data",) if plan else ("data", "out"):
        if getattr(arguments, name) is None:
            raise UserError(f"--{name} DIR is missing. `python -m eval {arguments.command} --help` shows the commands.")
    if not arguments.score_only and arguments.checkpoint is None:
        raise UserError(
            "--checkpoint is missing: give an encoder's checkpoint file or random:ARCHITECTURE/PATCH, "
            f"or --score-only to score saved {predictions}."
        )
    if arguments.predictions is not None and not arguments.score_only:
        raise UserError(f"--predictions goes with --score-only; without it the {predictions} are made by this run.")
