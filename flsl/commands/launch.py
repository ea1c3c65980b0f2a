"""Run a program in several processes on this machine, one for each GPU; `make ... GPUS=8` does so.

python -m flsl launch 8 pretrain CONFIG --data DIR --out DIR
python -m flsl launch 8 eval coco --checkpoint CHECKPOINT --data DIR --out DIR

SIGTERM, SIGUSR1 and Ctrl-C reach every process. The exit code is the program's own: 75 where a signal came and the state is
saved. torchrun, which serves several machines, ends with 1 instead and gives processes 30 seconds to save.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("count", type=int, metavar="N", help="how many processes")
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM ...",
        help="the program and its arguments, as after python -m",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run it; returns its exit code."""
    from flsl.runtime.errors import UserError
    from flsl.runtime.launch import launch

    if not arguments.words:
        raise UserError("no program to launch. Usage: python -m flsl launch 8 pretrain CONFIG --data DIR --out DIR")
    return launch(arguments.count, arguments.words)
