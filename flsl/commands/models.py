"""List public checkpoints: who made them, under which license, where the file comes from and whether it is here.

python -m flsl models
python -m flsl models NAME
python -m flsl models NAME|hf:ORG/NAME[@REVISION][/FILE]|timm:NAME[.TAG] --download

Nothing else uses the network: `--checkpoint hf:ORG/NAME` and the like are looked up in the caches of this machine.
"""

import argparse
from pathlib import Path

from flsl.runtime.text import as_called

KINDS = """Every --checkpoint takes, besides these names:
  FILE or FOLDER        .pth, .pt, .ckpt, .bin or .safetensors of any layout in flsl/formats/README.md, below any prefix
  hf:ORG/NAME           of the Hugging Face Hub, once fetched: python -m flsl models hf:ORG/NAME --download
  timm:NAME[.TAG]       timm's network and weights, once fetched: python -m flsl models timm:NAME --download
  random:vit_small/16   an untrained network, drawn by --seed
  pixels/16             no network: color and place of each patch
and options behind a question mark, e.g. FILE?heads=8&branch=student&prefix=net.encoder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="one model, in full; or hf:ORG/NAME, timm:NAME")
    parser.add_argument("--download", action="store_true", help="fetch NAME into $FLSL_CACHE, or the Hub's own cache")


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or one entry, or download one."""
    from flsl.model_list import cache_folder, download, find_cached, listed_models, suggest
    from flsl.runtime.errors import UserError

    models = listed_models()
    if arguments.name is None:
        if arguments.download:
            raise UserError("--download needs the name of one model")
        table = [("name", "method", "architecture", "license", "here", "from")]
        for model in models.values():
            here = "yes" if find_cached(model.name) else "-"
            size = f"{model.architecture}/{model.patch_size}"
            table.append((model.name, model.method, size, model.license, here, model.page))
        widths = [max(map(len, column)) for column in zip(*table)]
        for row in table:
            print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip())
        print(
            f"\nFiles are looked for in {cache_folder()} ($FLSL_CACHE). `python -m flsl models NAME` says more.\n\n{as_called(KINDS)}"
        )
        return 0
    source, colon, rest = arguments.name.partition(":")
    if colon and source in ("hf", "timm"):
        print(_locate(source, rest, arguments.download))
        return 0
    if arguments.name not in models:
        raise UserError(
            f"{arguments.name} is not in the model list.{suggest(arguments.name)} See `python -m flsl models`."
        )
    model = models[arguments.name]
    if arguments.download:
        print(download(model))
        return 0
    published = " ".join((model.published or {}).values())
    rows = {
        "method": model.method,
        "architecture": f"{model.architecture}/{model.patch_size}",
        "paper": model.paper,
        "page": model.page,
        "file": model.address or "no public address",
        "license": model.license,
        "checksum": f"{model.checksum}..." if model.checksum else "none published",
        "scores": f"`python -m results published` lists {published}" if published else "none in the published figures",
        "content": model.note,
        "here": find_cached(model.name) or f"no. {model.how_to_get()}",
        "use": f"--checkpoint {model.name}",
    }
    for name, value in rows.items():
        print(f"{name:<13} {value}")
    return 0


def _locate(source: str, name: str, fetch: bool) -> Path:
    """Return the file of a name on the Hub or of timm's."""
    from flsl import hub

    if source == "hf":
        return hub.download(name) if fetch else hub.locate(name)
    from flsl.timm_source import locate_timm

    return locate_timm(name, download=fetch)
