"""Tell whether one model is really better than another: paired bootstrap over the items of two or more records.

    python -m results compare A B [C ...] [--metric J]

The first record is compared with each of the others; with several comparisons p-values are corrected by Holm's method.
Records must be of one protocol on the same data, with scores of single items.
"""

import argparse
from pathlib import Path

FEWEST, MOST = 100, 1_000_000  # resamples; the most take a minute for each pair of records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "records", type=Path, nargs="+", metavar="RECORD", help="record files, the one in question first"
    )
    parser.add_argument("--metric", help="score of the items to compare (default: the headline)")
    parser.add_argument("--resamples", type=int, help="default: 10000, or 100 for each comparison if more")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print the comparisons and, in words, what they say; returns 0."""
    import dataclasses

    from flsl.runtime.errors import UserError
    from flsl.runtime.text import printable
    from results.compare import LEVEL, RESAMPLES, compare_records, holm, is_higher_better
    from results.store import read_record
    from results.terminal import print_rows

    if len(arguments.records) < 2:
        raise UserError("compare needs at least two records: python -m results compare A/record.json B/record.json")
    fewest = FEWEST * (len(arguments.records) - 1)
    resamples = max(RESAMPLES, fewest) if arguments.resamples is None else arguments.resamples
    if not fewest <= resamples <= MOST:
        why = "100 for each comparison, or no p-value could be small enough after Holm's correction"
        raise UserError(f"--resamples is {resamples}, but must be {fewest} ({why}) to {MOST}.")
    if arguments.seed < 0:
        raise UserError(f"--seed is {arguments.seed}, but must be 0 or more.")
    records = [read_record(path / "record.json" if path.is_dir() else path) for path in arguments.records]
    if len({record.model.name for record in records}) < len(records):  # names do not tell them apart, files do
        for index, (record, path) in enumerate(zip(records, arguments.records)):
            model = dataclasses.replace(record.model, name=f"{record.model.name} ({path})")
            records[index] = dataclasses.replace(record, model=model)
    first, *others = records
    found = holm(
        [compare_records(first, other, arguments.metric, resamples=resamples, seed=arguments.seed) for other in others]
    )
    rows = [
        [c.a, c.b, c.metric, f"{c.difference:+.2f}", c.interval, f"{c.p:.4f}", f"{c.p_holm:.4f}",
         f"{c.better} of {c.items} items"]
        for c in found
    ]  # fmt: skip
    print_rows(("A", "B", "metric", "A - B", "95 % interval", "p", "p (Holm)", "A better on"), rows)
    for c in found:
        word = "better" if (c.difference > 0) == is_higher_better(first, c.metric) else "worse"
        sure = f"{word} than" if c.p_holm < LEVEL else "not shown to differ from"
        note = f"; {c.notes}" if c.notes else ""
        print(printable(f"{c.a} is {sure} {c.b} in {c.metric} (p = {c.p_holm:.4f}){note}"))
    return 0
