"""Pretrain an encoder with FLSL, or with a method to compare with.

    python -m pretrain CONFIG --data DIR --out DIR [--set key=value ...]
    python -m flsl launch 8 pretrain CONFIG --data DIR --out DIR       on 8 GPUs (torchrun too, whose exit code is its own)
    python -m pretrain bench [CONFIG] [--against plain]

Writes encoder.safetensors (the encoder that the method keeps), states/ (to resume from), log.jsonl, tensorboard/ and
config.py to --out. The same command run again continues where the last run stopped, or says that it is finished; another
recipe or other images in the same --out are refused. Exit codes: 0 the encoder of the last step is written, 2 an error
that is explained, 75 stopped by SIGTERM or SIGUSR1 with the state saved. `pretrain.train(...)` does the same in Python.
"""

import argparse
import sys
from pathlib import Path

from flsl.commands.arguments import add_changes
from flsl.runtime.errors import run_command
from flsl.runtime.program import HelpLayout, Parser
from flsl.runtime.slurm import add_launcher, submit
from flsl.runtime.text import as_called
from pretrain.methods import method_names


def build_parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = Parser(
        prog=as_called("python -m pretrain"),
        description=__doc__,
        formatter_class=HelpLayout,
        epilog=f"methods (`method` in a recipe, --set method=NAME): {', '.join(method_names())}",
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="recipe, e.g. configs/pretrain/flsl_demo.py")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="ImageFolder, or any folder of images")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of this run")
    add_changes(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument(
        "--resume",
        choices=("auto", "never"),
        default="auto",
        help="auto continues from the newest state in --out; never starts over, and keeps what was there until a new state is "
        "saved (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-config-change",
        action="append",
        default=[],
        metavar="KEY",
        help="permit this key or section to differ from the run that is resumed",
    )
    parser.add_argument(
        "--probe-data",
        type=Path,
        metavar="DIR",
        help="images with masks, in CamVid's layout or images/train, masks/train and classes.txt: the probe (recipe key "
        "probe.epochs) segments some of them with the labels of others",
    )
    add_launcher(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Train as the arguments say; returns the exit code."""
    from pretrain import train

    train(
        arguments.config,
        arguments.data,
        arguments.out,
        overrides=arguments.overrides,
        device=arguments.device,
        resume=arguments.resume,
        allowed=arguments.allow_config_change,
        probe_data=arguments.probe_data,
    )
    return 0


def start(arguments: argparse.Namespace) -> int:
    """Train here, or submit a job that does; returns the exit code."""
    if arguments.launcher == "none":
        return run(arguments)
    from pretrain import __main__ as program  # the job must find its function by its module's name

    submit(program.run, arguments)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["bench"]:
        from pretrain import bench

        chosen = bench.build_parser().parse_args(argv[1:])
        return run_command(lambda: bench.run(chosen))
    arguments = build_parser().parse_args(argv)
    return run_command(lambda: start(arguments))


if __name__ == "__main__":
    sys.exit(main())
