"""Command-line arguments that several sub-commands share."""

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flsl.source import Overrides


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the positional CHECKPOINT and what overrides it."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="file, folder, listed name, hf:ORG/NAME, timm:NAME, random:ARCH/PATCH or pixels/PATCH",
    )
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add --arch, --heads, --positions, --branch and --prefix."""
    group = parser.add_argument_group("override what the checkpoint says (each change is a warning in the record)")
    group.add_argument("--arch", dest="architecture", metavar="NAME", help="size, e.g. vit_small: sets the heads")
    group.add_argument("--heads", dest="num_heads", type=int, metavar="N", help="number of attention heads")
    group.add_argument("--positions", choices=("dino", "size", "size_plain"), help="how the position table is resized")
    group.add_argument("--branch", metavar="NAME", help="which network of a training checkpoint: teacher, student, ...")
    group.add_argument(
        "--prefix", metavar="NAME", help="below which names the encoder is, e.g. net.encoder, where several are"
    )


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add --set."""
    text = "change one value of the recipe, e.g. --set training.precision=bf16"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=text)


def overrides(arguments: argparse.Namespace) -> "Overrides":
    """Return what the user insists on."""
    from flsl.source import Overrides

    return Overrides(**{field.name: getattr(arguments, field.name) for field in fields(Overrides)})
