"""Command-line arguments that every adapter shares."""

import argparse
from pathlib import Path

from flsl.commands.arguments import add_overrides


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


def add_config_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Add --config and --set; `default` is the recipe used when --config is not given."""
    parser.add_argument(
        "--config", type=Path, default=Path(default), metavar="CONFIG", help="recipe (default: %(default)s)"
    )
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
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--plan", action="store_true", help="print what would run, from a 20-step probe; keep nothing")
    mode.add_argument("--bench", action="store_true", help="measure the parts of a run; keep nothing")
    mode.add_argument("--test-only", action="store_true", help="use the trained detector in --out; train nothing")
    mode.add_argument("--score-only", action="store_true", help="score saved detections; train and detect nothing")
    parser.add_argument(
        "--metric-backend",
        choices=("faster", "pycocotools"),
        default="faster",
        help="of COCO's metrics: faster-coco-eval, or pycocotools, which gives the same (default: %(default)s)",
    )
