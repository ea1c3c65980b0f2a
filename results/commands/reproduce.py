"""Check published claims on a checkpoint: plan, run what is missing, write a report.

    python -m results reproduce TABLE|all --checkpoint CHECKPOINT --data DIR [--out runs/reproduction]

--data is the benchmark's folder, or one that holds one per benchmark (davis2017, coco, ...); what is not there is left out,
and the report says so. `all` are the tables that this project measures. Writes reproduction.html and reproduction.json.
Exit code 0 if all checked claims hold, 1 if one does not, 2 if something that can be checked was not.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from results.paper import TABLES

if TYPE_CHECKING:
    from results.record import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("table", help=f"{', '.join(TABLES)} or all")
    parser.add_argument("--checkpoint", required=True, metavar="PATH", help="encoder, as for python -m eval")
    parser.add_argument("--data", type=Path, metavar="DIR", help="without it only finished records are judged")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/reproduction"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--records", type=Path, nargs="*", default=[], metavar="DIR", help="where finished records may be, beside --out"
    )
    parser.add_argument(
        "--against", type=Path, nargs="*", default=[], metavar="RECORD", help="records of other models to compare with"
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="[TABLE=]FILE",
        help="detector recipe in place of the full-size one; of several tables name the table, once for each",
    )
    parser.add_argument("--device", default="auto", help="default: %(default)s")
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")


def run(arguments: argparse.Namespace) -> int:
    """Plan, run, judge and report; returns 0, 1 or 2 as said above."""
    import itertools
    import json
    import shlex
    import sys

    from flsl.runtime.errors import UserError
    from flsl.runtime.files import write_text
    from flsl.runtime.text import printable
    from results.compare import compare_records, holm
    from results.report import MEANING, report_data, report_page
    from results.reproduce import carry_out, exit_code, inspect_checkpoint, make_plan, tables_of
    from results.terminal import print_rows

    tables = tables_of(arguments.table)
    if arguments.data and not arguments.data.is_dir():
        raise UserError(f"--data {arguments.data} is not a folder. Give the benchmark's folder, or one above several.")
    if missing := [folder for folder in arguments.records if not folder.exists()]:
        raise UserError(f"--records {missing[0]} does not exist. Give a folder with finished records, or leave it out.")
    against = _read_others(arguments.against, tables)
    model = inspect_checkpoint(arguments.checkpoint)
    steps = make_plan(
        tables,
        arguments.checkpoint,
        model,
        arguments.data,
        arguments.out,
        records=arguments.records,
        config=arguments.config,
        options=["--device", arguments.device],
    )
    print_rows(
        ("table", "what", "why", "time (rough)", "command"),
        [[step.table, step.action, step.reason, step.time, shlex.join(step.command)] for step in steps],
    )
    if arguments.plan:
        return 0
    steps, records, claims = carry_out(steps)
    comparisons = []
    for one, other in itertools.product(records.values(), against):
        try:
            comparisons += [compare_records(one, other)] if one.protocol == other.protocol else []
        except UserError as error:  # a report after days of evaluation is not lost to it
            print(f"not compared: {printable(error)}", file=sys.stderr)
    code = exit_code(steps, claims)
    data = report_data(model, steps, claims, records, holm(comparisons), code)
    write_text(arguments.out / "reproduction.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    write_text(arguments.out / "reproduction.html", report_page(data))
    rows = [
        [c["table"], c["metric"], c["published"], c["status"], f"{c['measured']:.2f}", c["verdict"], c["reason"]]
        for c in data["claims"]
    ]
    print_rows(("table", "metric", "published", "status", "measured", "verdict", "reason"), rows)
    for sentence in data["summary"]:
        print(printable(sentence))
    print(f"{MEANING[code]}: {arguments.out / 'reproduction.html'}")
    return code


def _read_others(paths: Sequence[Path], tables: Sequence[str]) -> "list[Record]":
    """Return the records to compare with; raises UserError where one is by a protocol of none of the tables."""
    from flsl.runtime.errors import UserError
    from results.store import read_record

    protocols = {protocol for table in tables for protocol in TABLES[table].protocols}
    others = [read_record(path) for path in paths]
    for path, other in zip(paths, others):
        if other.protocol not in protocols:
            raise UserError(
                f"--against {path} is by {other.protocol}, but {', '.join(tables)} by {', '.join(sorted(protocols))}. "
                "Give records of these, or leave it out."
            )
    return others
