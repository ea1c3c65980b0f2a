"""Export the JSON Schema of a result record.

python -m results schema [--out record.schema.json]
"""

import argparse
from pathlib import Path

from results.commands.arguments import deliver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="write here (default: print)")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the schema; returns 0."""
    import json

    from results.json_schema import json_schema

    deliver(json.dumps(json_schema(), indent=1) + "\n", arguments.out, "written")
    return 0
