"""Turn result records into tables, a leaderboard and a reproduction report.

python -m results leaderboard --records DIR [--out results/leaderboard.csv]
python -m results table TABLE|all --records DIR [--format md|csv|tex|html]
python -m results list|validate --records DIR
python -m results show RECORD
python -m results compare A B [C ...]
python -m results published
python -m results bundle --records DIR --out ZIP
python -m results import SOURCE --store DIR
python -m results reproduce TABLE|all --checkpoint CHECKPOINT --data DIR
python -m results doctor
"""

import argparse
import sys
from importlib import import_module

from flsl.runtime.errors import run_command

COMMANDS = {
    "leaderboard": "rank all complete records: CSV, self-contained HTML page, terminal table",
    "table": "write the paper's tables with our rows beside the published ones: md, csv, tex, html",
    "published": "check and print the published figures",
    "list": "list records",
    "show": "show one record in full",
    "compare": "tell whether one model is better than another: paired bootstrap",
    "validate": "check every record under a folder",
    "bundle": "pack records and reports into one archive",
    "import": "put records from a bundle or a folder into a store",
    "reproduce": "check published claims on a checkpoint: run what is missing, write a report",
    "doctor": "tell what this machine can run, and how to repair what it cannot",
    "schema": "export the JSON Schema of a record",
}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one sub-command; returns its exit code (2 after an error of the user's)."""
    parser = argparse.ArgumentParser(
        prog="python -m results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        # Each module imports nothing heavy at its top, so that --help answers at once.
        module = import_module(f"results.commands.{'import_' if name == 'import' else name}")
        command = commands.add_parser(
            name, help=text, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    return run_command(lambda: arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
