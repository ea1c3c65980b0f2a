"""Publish an encoder on the Hugging Face Hub: its weights with their description, a model card, and its records.

python -m flsl push CHECKPOINT ORG/NAME [--records DIR] [--license apache-2.0] [--private]
python -m flsl push CHECKPOINT ORG/NAME [--records DIR] --dry-run DIR

--dry-run writes the folder that would be uploaded, and touches no network: read the card first. Log in once with
`hf auth login`. Whoever loads `hf:ORG/NAME` gets this encoder, proven by its fingerprint.
"""

import argparse
from pathlib import Path
from typing import Any

from flsl.commands.arguments import add_checkpoint, overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_checkpoint(parser)
    parser.add_argument(
        "repository", metavar="ORG/NAME", help="where to, on the Hub; it is created where it is not there"
    )
    parser.add_argument("--records", type=Path, metavar="DIR", help="add this encoder's complete records below DIR")
    parser.add_argument("--name", help="model name on the card (default: taken from the checkpoint)")
    parser.add_argument("--method", help="method on the card (default: taken from the checkpoint)")
    parser.add_argument("--license", metavar="ID", help="as the Hub names it, e.g. apache-2.0, cc-by-nc-4.0")
    parser.add_argument("--private", action="store_true", help="create the repository as a private one")
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write what would be uploaded here; upload nothing")


def run(arguments: argparse.Namespace) -> int:
    """Write the folder, and upload it unless this is a dry run."""
    import tempfile
    from dataclasses import replace

    from flsl import hub
    from flsl.checkpoint import load_encoder
    from flsl.exports.hub_folder import read_records, write_hub_folder
    from flsl.runtime.apart import require_apart
    from flsl.runtime.errors import UserError
    from flsl.source import path_of

    if arguments.dry_run:
        for written in (arguments.dry_run, arguments.dry_run / "encoder.safetensors"):
            require_apart(written, {}, {"CHECKPOINT": path_of(arguments.checkpoint)}, option="--dry-run")
    place = hub.parse_name(arguments.repository)
    if place.revision or place.file:
        raise UserError(f"{arguments.repository!s:.80} is not of the form ORG/NAME")
    loaded = load_encoder(arguments.checkpoint, overrides=overrides(arguments))
    loaded = replace(loaded, name=arguments.name or loaded.name, method=arguments.method or loaded.method)
    records: list[dict[str, Any]] = []
    if arguments.records:
        records, others = read_records(arguments.records, loaded.fingerprint)
        print(f"{len(records)} records of this encoder, {others} of others left out")
    with tempfile.TemporaryDirectory(prefix="flsl-push-") as temporary:
        out = arguments.dry_run or Path(temporary)
        files = write_hub_folder(loaded, out, place.repository, records, arguments.license)
        if arguments.dry_run:
            for file in files:
                print(file)
            print(f"nothing was uploaded; without --dry-run these files go to {place.repository}")
        else:
            print(hub.upload(out, place.repository, private=arguments.private))
    return 0
