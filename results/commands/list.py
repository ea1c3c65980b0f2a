"""List records: what was measured, with what outcome, and where the file is.

    python -m results list --records DIR [--benchmark coco] [--status complete] [--out FILE.csv]

--out writes every metric of the listed records as CSV (one line per number).
"""

import argparse
from pathlib import Path

from results.benchmarks import BENCHMARKS
from results.commands.arguments import add_records_argument, load_apart, report_broken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_records_argument(parser)
    parser.add_argument("--benchmark", help=f"list one benchmark only: {', '.join(BENCHMARKS)}")
    parser.add_argument("--status", choices=("complete", "partial", "failed"), help="list one status only")
    parser.add_argument("--out", type=Path, metavar="CSV", help="also write all metrics of these records here")


def run(arguments: argparse.Namespace) -> int:
    """Print the list; returns 0, also if some records are broken (each is named)."""
    from flsl.runtime.errors import UserError, unknown_key
    from flsl.runtime.files import write_text
    from results.terminal import print_rows

    loaded = load_apart(arguments.records, arguments.out)
    report_broken(loaded)
    names = sorted({record.benchmark for record in loaded.records.values()})
    if arguments.benchmark and arguments.benchmark not in names:
        what = f"no record is there of {arguments.benchmark!r}, which"
        raise UserError(unknown_key(what, arguments.benchmark, names, "benchmark among them"))
    shown = {
        path: record
        for path, record in loaded.records.items()
        if arguments.benchmark in (None, record.benchmark) and arguments.status in (None, record.status)
    }
    rows = []
    for path, record in shown.items():
        metric = record.metrics.get(record.headline)
        score = f"{record.headline} {metric.value:.1f}" if metric and metric.value is not None else ""
        data = f"{record.dataset.name} {record.dataset.split}"
        rows.append([record.model.name, record.protocol, data, record.seed, record.status, score, path])
    print_rows(("model", "protocol", "data", "seed", "status", "score", "record"), rows)
    print(f"{len(shown)} of {len(loaded.records)} records, {len(loaded.broken)} broken")
    if arguments.out:
        from results.escape import as_csv
        from results.frame import to_frame

        write_text(arguments.out, to_frame(shown).map(as_csv).to_csv(index=False, lineterminator="\n"))
        print(f"written: {arguments.out}")
    return 0
