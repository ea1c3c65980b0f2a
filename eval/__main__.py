"""Evaluate a checkpoint on a benchmark, or make and check benchmark data.

python -m eval BENCHMARK --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG] [--set key=value ...]
python -m eval data synthesize|verify|prepare BENCHMARK DIR
"""

import argparse
import sys
from importlib import import_module

from flsl.commands.arguments import overrides
from flsl.runtime.errors import run_command
from flsl.source import join_spec
from results.benchmarks import BENCHMARKS

COMMANDS = {benchmark.command: benchmark.summary for benchmark in BENCHMARKS.values()}
COMMANDS["data"] = "make synthetic benchmark data, or check a real copy"


def build_parser() -> argparse.ArgumentParser:
    """Return the command-line parser; `run` of what it parses is the sub-command's function."""
    parser = argparse.ArgumentParser(
        prog="python -m eval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        # Each adapter's command.py imports nothing heavy, so that --help answers at once.
        module = import_module(f"eval.{name}.command")
        command = commands.add_parser(
            name, help=text, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one sub-command; returns its exit code."""
    arguments = build_parser().parse_args(argv)
    if getattr(arguments, "checkpoint", None) is not None:
        arguments.checkpoint = join_spec(arguments.checkpoint, overrides(arguments))
    return run_command(lambda: arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
