"""Show one record in full: scores with intervals, data, model, recipe, environment, warnings.

python -m results show RECORD [--json] [--items]
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("record", type=Path, help="a record file, or a folder with one record in it")
    parser.add_argument("--json", action="store_true", help="print the validated record as JSON")
    parser.add_argument("--items", action="store_true", help="also show the scores of single items")


def run(arguments: argparse.Namespace) -> int:
    """Print the record; returns 0."""
    import json

    from flsl.runtime.errors import UserError
    from flsl.runtime.text import printable, shorten
    from results.schema import record_to_plain
    from results.store import find_records, read_record
    from results.terminal import print_rows

    paths = find_records(arguments.record)
    if len(paths) > 1:
        raise UserError(f"{arguments.record} holds {len(paths)} records; name one of them: {shorten(paths, 10)}.")
    record = read_record(paths[0])
    plain = record_to_plain(record)
    if arguments.json:
        print(json.dumps(plain, indent=1))  # in ASCII: a terminal obeys some of the other characters
        return 0
    print(f"{printable(paths[0])}: {record.status}, schema version {record.schema_version}")
    scores = []
    for name, metric in record.metrics.items():
        interval = ""
        if metric.interval and metric.bounds:
            low, high = metric.bounds
            interval = f"{low:.2f} to {high:.2f} (over {metric.interval.covers}, one training)"
        mark = "headline" if name == record.headline else ""
        scores.append([name, None if metric.value is None else f"{metric.value:.4f}", interval, mark])
    units = {metric["unit"] for metric in plain["metrics"].values()}
    unit = units.pop() if len(units) == 1 else "value"
    print_rows(("metric", unit, "95 % interval", ""), scores)
    items = plain.pop("per_item")
    for key in ("metrics", "headline", "status", "schema_version"):
        del plain[key]
    print_rows(("key", "value"), list(flatten(plain)))
    if arguments.items:
        columns = sorted({name for scores in items.values() for name in scores})
        print_rows(
            ("item", *columns), [[item, *(scores.get(name) for name in columns)] for item, scores in items.items()]
        )
    return 0


def flatten(value: object, prefix: str = ""):
    """Yield (dotted key, text) of every leaf that says something."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else key)
    elif value not in (None, "", []):
        yield prefix, str(value)
