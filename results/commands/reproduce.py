"""Check published claims on a checkpoint: plan, run what is missing, write a report.

    python -m results reproduce TABLE|all --checkpoint CHECKPOINT --data DIR [--out runs/reproduction]

--data is the benchmark's folder, or one that holds one per benchmark (davis2017, coco, ...); what is not there is left out,
and the report says so. `all` are the tables that this project measures. Writes reproduction.html and reproduction.json.
Exit code 0 if all checked claims hold, 1 if one does not, 2 if something that can be checked was not.
"""

import argparse
from pathlib import Path

from results.paper import TABLES


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
    import dataclasses
    import itertools
    import json
    import shlex
    import sys

    from flsl.runtime.errors import UserError
    from flsl.runtime.files import write_text
    from flsl.runtime.text import printable
    from results.compare import compare_records, holm
    from results.report import MEANING, report_data, report_page
    from results.reproduce import exit_code, inspect_checkpoint, judge_claims, make_plan, run_step, tables_of
    from results.store import read_record
    from results.terminal import print_rows

    tables = tables_of(arguments.table)
    if arguments.data and not arguments.data.is_dir():
        raise UserError(f"--data {arguments.data} is not a folder. Give the benchmark's folder, or one above several.")
    if missing := [folder for folder in arguments.records if not folder.exists()]:
        raise UserError(f"--records {missing[0]} does not exist. Give a folder with finished records, or leave it out.")
    against = [read_record(path) for path in arguments.against]
    protocols = {protocol for table in tables for protocol in TABLES[table].protocols}
    for path, other in zip(arguments.against, against):
        if other.protocol not in protocols:
            raise UserError(
                f"--against {path} is by {other.protocol}, but {', '.join(tables)} by {', '.join(sorted(protocols))}. "
                "Give records of these, or leave it out."
            )
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
    records, claims = {}, []
    for index, step in enumerate(steps):
        if step.action == "run" and run_step(step) != 0:
            print(f"{step.table}: the evaluation failed; its own message is above")
            steps[index] = dataclasses.replace(step, reason="the evaluation failed")
            continue  # what may be there answered another question
        if step.record and step.record.exists():
            records[step.record] = read_record(step.record)
            claims += judge_claims(step.table, step.record, records[step.record])
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
