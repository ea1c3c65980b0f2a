"""Say what a checkpoint holds, load it strictly, and print the proof.

python -m flsl inspect CHECKPOINT [--json] [--all] [--heads N] [--branch NAME]
"""

import argparse
import json

from flsl.commands.arguments import add_checkpoint, overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_checkpoint(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, as records hold it")
    parser.add_argument("--all", action="store_true", help="name every key that was left out, not only their groups")


def run(arguments: argparse.Namespace) -> int:
    """Load the checkpoint and print its description."""
    from flsl.checkpoint import load_encoder, summarize
    from flsl.description import describe

    loaded = load_encoder(arguments.checkpoint, overrides=overrides(arguments))
    if arguments.json:
        encoder = loaded.encoder.config.to_dict()
        dropped = loaded.dropped if arguments.all else summarize(loaded.dropped)
        told = loaded.model_fields() | {"encoder": encoder, "dropped": dropped, "warnings": loaded.warnings}
        print(json.dumps(told, indent=2))
        return 0
    for name, value in describe(loaded, arguments.all).items():
        print(f"{name:<14} {value}")
    for warning in loaded.warnings:
        print(f"{'warning':<14} {warning}")
    return 0
