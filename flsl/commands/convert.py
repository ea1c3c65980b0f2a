"""Write any checkpoint as our own file: safetensors with the description, the method and the origin in its header.

python -m flsl convert CHECKPOINT OUT.safetensors [--name NAME] [--method METHOD]
"""

import argparse
from pathlib import Path

from flsl.commands.arguments import add_checkpoint, overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_checkpoint(parser)
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write, .safetensors")
    parser.add_argument("--name", help="model name in records (default: taken from the checkpoint)")
    parser.add_argument("--method", help="method in records (default: taken from the checkpoint)")


def run(arguments: argparse.Namespace) -> int:
    """Load, write, read back and compare."""
    from flsl.checkpoint import load_encoder, save_encoder, summarize
    from flsl.runtime.apart import require_apart
    from flsl.runtime.errors import UserError
    from flsl.source import path_of

    if arguments.out.suffix != ".safetensors":
        raise UserError(f"{arguments.out}: our own files are called *.safetensors")
    require_apart(arguments.out, {}, {"CHECKPOINT": path_of(arguments.checkpoint)}, option="OUT")
    loaded = load_encoder(arguments.checkpoint, overrides=overrides(arguments))
    origin = {
        "converted_from": loaded.format,
        "source_sha256": loaded.file_sha256,
        "left_out": summarize(loaded.dropped),
        "warnings": loaded.warnings,
    }
    name, method = arguments.name or loaded.name, arguments.method or loaded.method
    save_encoder(loaded.encoder, arguments.out, name=name, method=method, pretraining=loaded.pretraining | origin)
    proof = load_encoder(arguments.out).fingerprint
    if proof != loaded.fingerprint:
        raise UserError(f"{arguments.out} was written, but reads back differently: the disk is damaged")
    print(f"{arguments.out}: {name} ({method}), fingerprint {proof}")
    return 0
