"""Tell whether one model is really better than another: paired bootstrap over the items of two or more records.

    python -m results compare A B [C ...] [--metric J]
    python -m results compare A1,A2,A3 B [C ...]

The first model is compared with each of the others; with several comparisons p-values are corrected by Holm's method.
Records of several trainings of one model are joined by commas: intervals then cover the chance of training too.
Records must be of one protocol on the same data, with scores of single items.
"""

import argparse
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.record import Record

FEWEST, MOST = 100, 1_000_000  # resamples; the most take a minute for each pair of records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "models", nargs="+", metavar="RECORD[,RECORD...]", help="record files of each model, the one in question first"
    )
    parser.add_argument("--metric", help="score of the items to compare (default: the headline)")
    parser.add_argument("--resamples", type=int, help="default: 10000, or 100 for each comparison if more")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print the comparisons and, in words, what they say; returns 0."""
    from flsl.runtime.errors import UserError
    from flsl.runtime.text import printable
    from results.compare import LEVEL, RESAMPLES, compare_groups, holm, is_higher_better
    from results.terminal import print_rows

    count = len(arguments.models)
    if count < 2:
        raise UserError("compare needs at least two records: python -m results compare A/record.json B/record.json")
    fewest = FEWEST * (count - 1)
    resamples = max(RESAMPLES, fewest) if arguments.resamples is None else arguments.resamples
    if not fewest <= resamples <= MOST:
        why = "100 for each comparison, or no p-value could be small enough after Holm's correction"
        raise UserError(f"--resamples is {resamples}, but must be {fewest} ({why}) to {MOST}.")
    if arguments.seed < 0:
        raise UserError(f"--seed is {arguments.seed}, but must be 0 or more.")
    models = [_read_model(given) for given in arguments.models]
    for (given, ours), (other, theirs) in itertools.combinations(zip(arguments.models, models), 2):
        if any(record in theirs for record in ours):
            raise UserError(
                f"{given} and {other} hold the same record. Leave one of them out: it says nothing of itself."
            )
    alike = len({trainings[0].model.name for trainings in models}) < count  # names do not tell them apart, files do
    models = [_named(trainings, given if alike else "") for trainings, given in zip(models, arguments.models)]
    first, *others = models
    found = holm(
        [
            compare_groups(
                first,
                other,
                arguments.metric,
                trained=[_varies(side) for side in (first, other)],
                resamples=resamples,
                seed=arguments.seed,
            )
            for other in others
        ]
    )
    rows = [
        [c.a, c.b, c.metric, f"{c.difference:+.2f}", c.interval, f"{c.p:.4f}", f"{c.p_holm:.4f}",
         f"{c.better} of {c.items} items"]
        for c in found
    ]  # fmt: skip
    print_rows(("A", "B", "metric", "A - B", "95 % interval", "p", "p (Holm)", "A better on"), rows)
    for c in found:
        word = "better" if (c.difference > 0) == is_higher_better(first[0], c.metric) else "worse"
        sure = f"{word} than" if c.p_holm < LEVEL else "not shown to differ from"
        note = f"; {c.notes}" if c.notes else ""
        print(printable(f"{c.a} is {sure} {c.b} in {c.metric} (p = {c.p_holm:.4f}){note}"))
    return 0


def _read_model(given: str) -> "list[Record]":
    """Read the records of one model, one per training. Raises UserError where they are not of that."""
    from flsl.runtime.errors import UserError
    from results.store import read_record

    parts = [given] if os.path.exists(given) else given.split(",")
    if not all(part.strip() for part in parts):  # as of a shell's variable that is not set
        raise UserError(
            f"{given!r} names no record. Records of several trainings of one model are joined by commas: A1,A2,A3."
        )
    paths = list(map(Path, parts))
    records = [read_record(path / "record.json" if path.is_dir() else path) for path in paths]
    for (path, one), (again, other) in itertools.combinations(zip(paths, records), 2):
        kinds = [f"{r.model.method} {r.model.architecture} {r.model.patch_size}" for r in (one, other)]
        if kinds[0] != kinds[1]:
            raise UserError(
                f"{path} and {again} are no two trainings of one model: {kinds[0]} and {kinds[1]}. "
                "Separate models by spaces, trainings by commas."
            )
        # Fine-tuned by another seed, one encoder is trained twice; what has no seed in it has the same scores.
        alike = "one seed" if one.seed == other.seed else "one score of each item" * (one.per_item == other.per_item)
        if alike and one.model.fingerprint == other.model.fingerprint:
            raise UserError(
                f"{path} and {again} are of one encoder and {alike}, so no two trainings. Leave one of them out."
            )
    return records


def _named(trainings: "list[Record]", files: str) -> "list[Record]":
    """Return a model's records by the name that it has in the table: it says how many they are, and which, if `files` does."""
    import dataclasses

    many = f" ({len(trainings)} trainings)" if len(trainings) > 1 else ""
    name = f"{trainings[0].model.name}{many}" + (f" ({files})" if files else "")
    return [dataclasses.replace(one, model=dataclasses.replace(one.model, name=name)) for one in trainings]


def _varies(trainings: "list[Record]") -> bool:
    """Tell whether another training of a model could have given another score: no other could of the pixels themselves."""
    return trainings[0].model.pretraining.get("format") != "pixels"
