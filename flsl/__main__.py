"""Look into, convert, export and picture encoder checkpoints.

python -m flsl inspect CHECKPOINT [--json]
python -m flsl convert CHECKPOINT OUT.safetensors
python -m flsl export  CHECKPOINT --to timm|mmdet|hf|torch OUT
python -m flsl models  [NAME] [--download]
python -m flsl show    --checkpoint CHECKPOINT [--checkpoint ...] IMAGE [IMAGE ...] --out DIR

CHECKPOINT is a file or folder of any known layout, a name that `python -m flsl models` lists, timm:NAME[.TAG], or
random:ARCHITECTURE/PATCH.
"""

import argparse
import sys
from importlib import import_module

from flsl.runtime.errors import run_command

COMMANDS = {
    "inspect": "say what a checkpoint holds and prove that it loads",
    "convert": "write any checkpoint as our own safetensors file",
    "export": "write an encoder for timm, mmdetection, Hugging Face or plain torch",
    "models": "list public checkpoints, where they are published and which are here",
    "show": "draw feature maps: principal components, mean-shift attention, clusters",
}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one sub-command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m flsl", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        # Each module imports nothing heavy at its top, so that --help answers at once.
        module = import_module(f"flsl.commands.{name}")
        command = commands.add_parser(
            name, help=text, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    return run_command(lambda: arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
