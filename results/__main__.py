"""Turn result records into tables, a leaderboard and a reproduction report.

python -m results leaderboard --records DIR [--out results/leaderboard.csv]
python -m results list|validate --records DIR
python -m results show RECORD
python -m results import SOURCE --store DIR
"""

import argparse
import sys
from importlib import import_module

from results.errors import ResultsError

COMMANDS = {
    "leaderboard": "rank all complete records: CSV, self-contained HTML page, terminal table",
    "table": "write the paper's tables with our rows beside the published ones: md, csv, tex, html",
    "published": "check and print the published figures",
    "validate": "check every record under a folder",
}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one sub-command; returns its exit code (2 after an error of the user's)."""
    parser = argparse.ArgumentParser(
        prog="python -m results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        # Each module imports nothing heavy at its top, so that --help answers at once.
        module = import_module(f"results.commands.{name}")
        command = commands.add_parser(
            name, help=text, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
