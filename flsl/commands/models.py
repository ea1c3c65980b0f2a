"""List public checkpoints: who made them, under which license, where the file comes from and whether it is here.

python -m flsl models
python -m flsl models NAME
python -m flsl models NAME --download
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="one model, in full")
    parser.add_argument(
        "--download", action="store_true", help="fetch NAME into $FLSL_CACHE (the one use of the network)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or one entry, or download one."""
    from flsl.model_list import cache_folder, download, find_cached, listed_models, suggest
    from flsl.runtime.errors import UserError

    models = listed_models()
    if arguments.name is None:
        if arguments.download:
            raise UserError("--download needs the name of one model")
        print(f"{'name':<20} {'method':<11} {'architecture':<17} {'license':<15} here  from")
        for model in models.values():
            here = "yes" if find_cached(model.name) else "-"
            size = f"{model.architecture}/{model.patch_size}"
            print(f"{model.name:<20} {model.method:<11} {size:<17} {model.license:<15} {here:<5} {model.page}")
        print(f"\nFiles are looked for in {cache_folder()} ($FLSL_CACHE). `python -m flsl models NAME` says more.")
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
