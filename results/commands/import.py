"""Put records into a store: from a bundle, whose hashes are verified, or from a folder of runs.

    python -m results import SOURCE --store DIR

A store holds one folder per (benchmark, protocol, data, model, recipe, seed). Equal files that are there already are
left alone; a record that contradicts one in the store is refused, and then nothing is imported.
"""

import argparse
from pathlib import Path

from results.commands.arguments import report_broken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("source", type=Path, help="a bundle (.zip), or a folder with records at any depth")
    parser.add_argument(
        "--store", type=Path, default=Path("results/records"), metavar="DIR", help="default: %(default)s"
    )


def run(arguments: argparse.Namespace) -> int:
    """Import and say how much was new; returns 0."""
    from flsl.runtime.apart import require_apart
    from results.bundle import import_folder, read_bundle, store_entries

    require_apart(arguments.store, {}, {"SOURCE": arguments.source}, option="--store")
    if arguments.source.is_file():
        new = store_entries(read_bundle(arguments.source), arguments.store)
    else:
        new, loaded = import_folder(arguments.source, arguments.store)
        report_broken(loaded)
    records = sum(path.name == "record.json" for path in new)
    print(f"{records} new records, {len(new)} new files: {arguments.store}")
    return 0
