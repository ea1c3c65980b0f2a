"""Segment images by a named protocol, with a frozen encoder or a fine-tuned one, and score the masks.

    python -m eval segment --checkpoint CHECKPOINT --data DIR --out DIR [--protocol NAME] [--features DIR]
    python -m eval segment ... --protocol semantic-fpn_40k [--config CONFIG] [--set key=value ...]      trains a network
    python -m flsl launch 8 eval segment ... --protocol semantic-fpn_40k    on 8 GPUs; training.batch is all of them together
    python -m eval segment ... --protocol semantic-fpn_40k --launcher slurm --nodes 1 --gpus 8      as a Slurm job
    python -m eval segment ... --protocol semantic-fpn_40k --plan       what would run: steps, time, memory, disk
    python -m eval segment ... --protocol semantic-fpn_40k --test-only  predict and score with OUT/segmentor.safetensors
    python -m eval segment bench --protocol semantic-fpn_smoke          how fast the parts are
    python -m eval segment --score-only --predictions DIR --data DIR --out DIR [--protocol NAME] [--name NAME]

--data is PASCAL VOC 2012, ADE20K, COCO (things or stuff), Cityscapes, CamVid, or a folder with classes.txt,
images/{train,val}/ and masks/{train,val}/*.png; which one is seen by its folders. --out receives predictions/, classes.csv,
confusion.csv, a picture of the worst and best images (sheet.png) and record.json. A run that was interrupted goes on where
it stopped.

Encoded images are kept in --features: another protocol on the same checkpoint finds there what it needs.
"""

import argparse
from pathlib import Path

from eval.arguments import add_fine_tuning, evaluate_arguments, evaluate_fine_tuned
from eval.segment.protocols import PROTOCOLS, FineTuned
from flsl.runtime.errors import UserError

OPTIONS = ("protocol", "layout", "limit", "batch_size", "features")
FINE_TUNED = [name for name, protocol in PROTOCOLS.items() if isinstance(protocol, FineTuned)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's arguments."""
    add_fine_tuning(
        parser,
        task="eval.segment.fine_tuned.task",
        config=None,
        small=None,
        metavar="DIR",
        predictions="masks (default: OUT/predictions)",
    )
    parser.add_argument("--protocol", default="in-context-hbird", help=f"{', '.join(PROTOCOLS)} (default: %(default)s)")
    parser.add_argument("--layout", help="of the data, where its folders fit several (default: found)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images; the record is partial")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images encoded at once (default: 4, on a GPU 32)")
    parser.add_argument(
        "--features", type=Path, metavar="DIR", help="encoded images, which runs may share (default: OUT/features)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; returns the exit code."""
    if arguments.protocol in FINE_TUNED:
        return evaluate_fine_tuned(arguments, OPTIONS)
    if arguments.plan or arguments.mode or arguments.launcher != "none" or arguments.config or arguments.overrides:
        words = f"of the protocols that train a network by a recipe: {', '.join(FINE_TUNED)}"
        raise UserError(f"--config, --set, --plan, --launcher and bench are {words}. Name one with --protocol.")
    return evaluate_arguments(arguments, (*OPTIONS, "test_only"))
