"""Compare pretraining methods with equal care: pretrain and evaluate what is missing, and say what it shows.

    python -m results study configs/studies/NAME.py --data DIR --out DIR [--plan] [--hours H]
    python -m results study STUDY.json                       compute a report's tables again from the records in it

A study file declares methods (a recipe and equally many trials each), seeds, pretraining pictures, selection data and test
data (which must differ), and floors that learned nothing. --data is the folder above all data. What is finished is kept; the
same command goes on. Writes study.{md,html,json}, curves.png and pictures/ to --out. Exit codes: 0 the study
is finished (with --report: the report is written, whatever it lacks), 1 a cell failed (or a report says other than its records, or
more than they tell), 75 stopped by --hours or a signal (the report says what is missing).
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "study", type=Path, metavar="STUDY", help="study file, e.g. configs/studies/small.py, or a report's study.json"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder above the data that it names")
    parser.add_argument("--out", type=Path, metavar="DIR", help="runs, records and report")
    parser.add_argument("--plan", action="store_true", help="say what is to do and how long it takes, and stop")
    parser.add_argument("--report", action="store_true", help="only write the report on what is there")
    parser.add_argument("--hours", type=float, metavar="H", help="stop after so long; the same command goes on")
    parser.add_argument("--device", default="auto", help="of every run: auto, cpu, cuda, ... (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Plan, run what is missing, report; returns the exit code."""
    from flsl.runtime.errors import UserError
    from flsl.runtime.preemption import PREEMPTED, Preempted
    from results.study.cells import Place, open_cells
    from results.study.declaration import read_study
    from results.study.runner import Outcome, run_cells

    if arguments.hours is not None and not 0 < arguments.hours < 10_000:
        raise UserError(f"--hours is {arguments.hours:g}, but must be above 0 and below 10000")
    if arguments.study.suffix == ".json":
        return _recompute(arguments.study)
    if arguments.data is None or arguments.out is None:
        raise UserError(
            "a study file needs --data DIR and --out DIR; only a report (study.json) is computed again without them."
        )
    study = read_study(arguments.study)
    cells = open_cells(study, Place(arguments.data, arguments.out, arguments.device))
    if arguments.plan:
        _print_plan(cells)
        return 0
    outcome = Outcome()
    try:
        if not arguments.report:
            outcome = run_cells(cells, arguments.hours)
    except Preempted:
        _write(cells, arguments)
        raise
    missing = _write(cells, arguments)
    if outcome.failed:
        return 1
    return PREEMPTED if outcome.out_of_time and missing else 0


def _recompute(path: Path) -> int:
    """Print whether a report says what its records do; returns 1 where it does not, or they do not tell all of it."""
    from flsl.runtime.text import printable
    from results.study.recompute import recompute

    again = recompute(path)
    for line in again.differences:
        print(printable(line))
    found = f"{again.scores} scores and {again.pairs} comparisons, computed again from {again.records} records"
    print(
        f"{path}: {found}: {len(again.differences)} values differ"
        if again.differences
        else f"{path}: {found}, are as reported"
    )
    for test, names in again.lacking.items():
        print(
            f"comparisons on {test} cannot be computed again (their p-values' correction and words were): no scores of single items in "
            f"the record{'s' if len(names) > 1 else ''} of {', '.join(map(printable, names))}"
        )
    return 1 if again.differences or again.lacking else 0


def _print_plan(cells) -> None:
    from flsl.runtime.text import clock
    from results.study.estimate import make_plan
    from results.terminal import print_rows

    lines = make_plan(cells)
    rows = [
        [line.what, line.cells, line.done, "" if line.each is None else clock(line.each), line.told_by,
         "?" if line.left is None else clock(line.left)]
        for line in lines
    ]  # fmt: skip
    print_rows(("what", "cells", "done", "each", "told by", "left"), rows)
    known = sum(line.left or 0.0 for line in lines)
    unknown = sum(line.left is None for line in lines)
    print(f"to do: {clock(known)}" + (f", and {unknown} lines of which nothing tells the time yet" if unknown else ""))


def _write(cells, arguments: argparse.Namespace) -> list[str]:
    """Write the report; returns what is missing."""
    import json
    import shlex

    from flsl.runtime.files import write_text
    from flsl.runtime.text import printable
    from results.study.curves import draw_curves
    from results.study.outcome import find, say_pairs
    from results.study.pictures import draw_pictures
    from results.study.report import report_data, to_html, to_markdown, verdict

    out, study = arguments.out, cells.study
    finding = find(cells)
    runs = {name: cells.final(chosen) if chosen else [] for name, chosen in cells.chosen().items()}
    pictures = [out / "curves.png"] if draw_curves(runs, out / "curves.png") else []
    pictures += draw_pictures(cells, out / "pictures")
    command = f"python -m results study {shlex.quote(str(arguments.study))} --data DIR --out DIR"
    reports = {
        "md": to_markdown(study, finding, command, pictures),
        "html": to_html(study, finding, command, pictures),
        "json": json.dumps(report_data(study, finding, command), indent=1, ensure_ascii=False) + "\n",
    }
    for kind, text in reports.items():
        write_text(out / f"study.{kind}", text)
    for sentence in (*verdict(study, finding), *say_pairs(finding)):
        print(printable(sentence))
    print(f"report: {out / 'study.html'}")
    return finding.missing
