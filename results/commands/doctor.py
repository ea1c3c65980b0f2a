"""Tell what this machine can run, and how to repair what it cannot.

    python -m results doctor [--json]

Exit code 0 if every program runs here (at least on the CPU), 1 if one does not or could not be checked; what a look at
the machine cannot tell is named, with the command that does.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print findings and abilities; returns 0 or 1 as said above."""
    import dataclasses
    import json

    from flsl.runtime.text import as_called
    from results.doctor import BEYOND, abilities, examine, largest_gpu
    from results.terminal import print_rows

    checks = examine()
    able = abilities(checks, largest_gpu(checks))
    if arguments.json:
        found, can = ([*map(dataclasses.asdict, these)] for these in (checks, able))
        print(json.dumps({"checks": found, "can run": can, "cannot be checked here": BEYOND}, indent=1))
    else:
        columns = ("", "state", "found", "what to do")
        print_rows(columns, [[c.name, c.state, c.found, c.remedy] for c in checks])
        print_rows(("can this machine run", *columns[1:]), [[c.name, c.state, c.found, c.remedy] for c in able])
        print_rows(
            ("cannot be checked here", "how to find out"), [[what, as_called(how)] for what, how in BEYOND.items()]
        )
    return 1 if any(check.state in ("missing", "unknown") for check in able) else 0
