"""From records to ranked rows: one a (model, recipe, benchmark, protocol, data set); protocols and data never mix."""

import csv
import dataclasses
import io
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from results.benchmarks import BENCHMARKS, METRIC_COLUMNS
from results.escape import as_csv
from results.pretrained import pretrained_on
from results.ranking import shared_ranks
from results.record import Record
from results.schema import record_to_plain

RANKS = (
    "Rows share a rank until one is shown to be worse than its first (paired over items, p < 0.05, corrected for the number "
    "of rows). A 95 % interval covers which items were drawn, not another training; below 5 items there is none. Where models were "
    "not pretrained on the same data or by as many images, a column says on what."
)
NO_RESULT = ("seed", "runtime", "probe")  # keys of a pretraining's recipe that make no other model
NO_COLUMNS = ("metrics", "records", "label", "rank_note")  # of a row, which the CSV file does not have


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the leaderboard. Scores in percent; with several seeds the mean over them.

    `recipe` is the beginning of the hash of the resolved recipe: one encoder fine-tuned in two ways has two rows.
    Encoders that were pretrained by one recipe with other seeds are one model of several seeds.
    `interval_low` and `interval_high` bound the headline (mean of the seeds' 95 % bounds; None where a record has no
    interval or too few units to resample); `seed_std` is the standard deviation over seeds. Rows that are not shown to
    differ share a rank (`results.ranking`).
    """

    benchmark: str
    protocol: str
    dataset: str
    split: str
    official: bool
    annotation_sha256: str
    train_sha256: str
    rank: int
    model: str
    method: str
    architecture: str
    patch_size: int
    parameters: int
    fingerprint: str
    recipe: str
    headline: str
    value: float
    interval_low: float | None
    interval_high: float | None
    seeds: int
    seed_std: float | None
    items: int
    item: str
    metrics: dict[str, float]
    records: tuple[Record, ...]
    label: str = ""  # the model's name, with what tells it from another row of that name on the same board
    rank_note: str = ""  # why it shares its rank with the row above

    @property
    def board(self) -> tuple[str, ...]:
        """What must be equal for two rows to be ranked together."""
        return board_of(self.records[0])

    @property
    def score(self) -> str:
        """The headline as text, with the spread over seeds where there are several."""
        return f"{self.value:.1f}" + ("" if self.seed_std is None else f" ± {self.seed_std:.1f}")

    def spread(self, metric: str) -> float | None:
        """Return the standard deviation of a metric over seeds; None with a single one."""
        found = [record.metrics[metric].value for record in self.records]
        return statistics.stdev(value for value in found if value is not None) if len(found) > 1 else None

    @property
    def pretrained(self) -> str:
        """What its encoder was pretrained on, in words; empty where it learned nothing."""
        return pretrained_on(self.records[0])

    @property
    def covers(self) -> str:
        """What its interval covers, in words; empty without one."""
        interval = self.records[0].metrics[self.headline].interval
        if interval is None or self.interval_low is None:
            return ""
        return f"over {interval.covers}, " + ("one training" if self.seeds == 1 else f"mean of {self.seeds} seeds")


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """Ranked rows in a fixed order, and one sentence for each record that was left out."""

    rows: list[Row]
    left_out: list[str]


def board_of(record: Record) -> tuple[str, ...]:
    """Return the ranking that a record belongs to: benchmark, protocol with version, data set, split, what is learned from,
    headline."""
    data = record.dataset
    digests = (data.annotation_sha256 or "", data.train_sha256 or "")
    part = (data.name, data.split, *digests, str(data.official), str(data.items_expected))
    return (record.benchmark, record.protocol, *part, record.headline)


def trainings_of(rows: Iterable[Row]) -> dict[tuple[str, str], set[str]]:
    """Return (model, fingerprint) of each row -> the fingerprints of its checkpoint's trainings, as all rows tell them.

    Rows of one name are one checkpoint where they share a training: one protocol may have scored more seeds than another.
    """
    keys = dict.fromkeys((row.model, row.fingerprint) for row in rows)
    of_name: dict[str, list[set[str]]] = defaultdict(list)
    for model, fingerprint in keys:
        marks, others = {*fingerprint.split()}, of_name[model]
        of_name[model] = [other for other in others if not other & marks]
        of_name[model].append(marks.union(*(other for other in others if other & marks)))
    return {(name, prints): next(m for m in of_name[name] if m & {*prints.split()}) for name, prints in keys}


def titles_of(rows: Iterable[Row]) -> dict[tuple[str, ...], str]:
    """Return the title of each ranking by its board; where two of a protocol would read alike, what their data are known by."""
    boards = {row.board: row for row in rows}
    alike = Counter((_title(row), row.protocol) for row in boards.values())
    return {
        board: _title(row) + (_digests(row) if alike[_title(row), row.protocol] > 1 else "")
        for board, row in boards.items()
    }


def _digests(row: Row) -> str:
    learned = f", learned from {row.train_sha256[:8]}" if row.train_sha256 else ""
    return f", annotations {row.annotation_sha256[:8] or 'unknown'}{learned}"


def _title(row: Row) -> str:
    """Return the title of a row's ranking: benchmark, data and how much of it."""
    benchmark = BENCHMARKS[row.benchmark].title if row.benchmark in BENCHMARKS else row.benchmark
    named = row.dataset.lower() in benchmark.lower().replace(" ", "")
    official = "" if row.official else ", not the official data"
    return f"{benchmark}{'' if named else f': {row.dataset}'} {row.split}, {row.items} {row.item}{official}"


def build_leaderboard(records: Mapping[Path, Record]) -> Leaderboard:
    """Rank complete records. The result does not depend on the order or the names of the files.

    Partial and failed records are left out; so are records that claim the same (model, recipe, benchmark, protocol, data
    set, seed) with different scores, since nothing says which is right. Equal copies count once.
    """
    left_out = []
    units: dict[tuple, dict[tuple, list[tuple[Path, Record]]]] = defaultdict(lambda: defaultdict(list))
    for path, record in records.items():
        if record.status != "complete":
            done = f"{record.dataset.items_evaluated} of {record.dataset.items_expected} {record.dataset.item}"
            left_out.append(f"{path}: {record.status} ({done}), so it is not ranked")
            continue
        training = record.seed, record.model.fingerprint
        units[board_of(record), _model_key(record)][training].append((path, record))
    rows = []
    for seeds in units.values():
        chosen = []
        for (seed, _), copies in seeds.items():
            if len({_scores(record) for _, record in copies}) > 1:
                names = ", ".join(sorted(str(path) for path, _ in copies))
                left_out.append(
                    f"{names}: the same model, recipe, protocol, data set and seed ({seed}) with different scores, so none is "
                    "ranked; keep one, or give the models different names (--name)"
                )
                continue
            found = [record for _, record in copies]
            chosen.append(min(found, key=_oldest) if len(found) > 1 else found[0])
        if chosen:
            rows.append(_row(_apart(sorted(chosen, key=lambda record: (record.seed, record.model.fingerprint)))))
    return Leaderboard(_rank(rows), sorted(left_out))


def to_csv(rows: Iterable[Row]) -> str:
    """Return the rows as CSV text: fixed columns, four decimals, empty where there is no value, `\\n` line ends."""
    fields = [field.name for field in dataclasses.fields(Row) if field.name not in NO_COLUMNS]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*fields, *METRIC_COLUMNS])
    for row in rows:
        values = [getattr(row, name) for name in fields] + [row.metrics.get(name) for name in METRIC_COLUMNS]
        writer.writerow([_cell(value) for value in values])
    return buffer.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4f}" if isinstance(value, float) else str(as_csv(value))


def _model_key(record: Record) -> tuple[str, ...]:
    """Return what the records of one row share: the encoder, or where the seed alone made it another, what made it."""
    model = record.model
    if "recipe" in model.pretraining:
        made = json.dumps(_without(NO_RESULT, model.pretraining), sort_keys=True)
    else:
        made = model.source if model.source.startswith("random:") else model.fingerprint
    return model.name, model.method, made, record.config_sha256


def _without(keys: Collection[str], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(keys, item) for key, item in value.items() if key not in keys}
    return [_without(keys, item) for item in value] if isinstance(value, list) else value


def _apart(records: list[Record]) -> list[Record]:
    """Leave out repetitions that drew nothing: an encoder's equal scores by another seed tell of no other training."""
    kept: dict[tuple[str, str], Record] = {}
    for record in records:
        kept.setdefault((record.model.fingerprint, _scores(record)), record)
    return [*kept.values()]


def _scores(record: Record) -> str:
    return json.dumps({name: metric.value for name, metric in sorted(record.metrics.items())})


def _oldest(record: Record) -> tuple[str, str]:
    return record.created, json.dumps(record_to_plain(record))


def _row(records: list[Record]) -> Row:
    """Make the row of one model's records that differ in the seed only."""
    first = records[0]
    headlines = [record.metrics[record.headline] for record in records]
    values = [metric.value for metric in headlines if metric.value is not None]  # a complete record has its headline
    bounds = [metric.bounds for metric in headlines if metric.bounds]
    scores = [{name: m.value for name, m in record.metrics.items() if m.value is not None} for record in records]
    shared = set.intersection(*map(set, scores))
    data, model = first.dataset, first.model
    return Row(
        benchmark=first.benchmark,
        protocol=first.protocol,
        dataset=data.name,
        split=data.split,
        official=data.official,
        annotation_sha256=data.annotation_sha256 or "",
        train_sha256=data.train_sha256 or "",
        rank=0,
        model=model.name,
        method=model.method,
        architecture=model.architecture,
        patch_size=model.patch_size,
        parameters=model.parameters,
        fingerprint=" ".join(sorted({record.model.fingerprint for record in records})),
        recipe=first.config_sha256[:8],
        headline=first.headline,
        value=statistics.fmean(values),
        interval_low=statistics.fmean(low for low, _ in bounds) if len(bounds) == len(records) else None,
        interval_high=statistics.fmean(high for _, high in bounds) if len(bounds) == len(records) else None,
        seeds=len(records),
        seed_std=statistics.stdev(values) if len(values) > 1 else None,
        items=data.items_evaluated,
        item=data.item,
        metrics={name: statistics.fmean(of[name] for of in scores) for name in sorted(shared)},
        records=tuple(records),
    )


def _rank(rows: list[Row]) -> list[Row]:
    """Sort by board, then best first; rows that are not shown to differ share a rank (1, 1, 3)."""
    boards: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        boards[row.board].append(row)
    ranked: list[Row] = []
    order = {key: position for position, key in enumerate(BENCHMARKS)}
    official_first = {
        key: (not of[0].official, order.get(of[0].benchmark, len(order)), key) for key, of in boards.items()
    }
    for board in sorted(boards, key=lambda key: official_first[key]):
        higher = boards[board][0].records[0].metrics[boards[board][0].headline].higher_is_better
        members = sorted(
            boards[board], key=lambda row: (-row.value if higher else row.value, row.model, row.fingerprint, row.recipe)
        )
        ranks = shared_ranks([row.records for row in members], [row.value for row in members], higher)
        for row, (rank, why) in zip(members, ranks):
            ranked.append(dataclasses.replace(row, rank=rank, rank_note=why, label=_label(row, members)))
    return ranked


def _label(row: Row, members: list[Row]) -> str:
    same = [other for other in members if other.model == row.model]
    encoder = f" (encoder {row.fingerprint[:8]})" if len({other.fingerprint for other in same}) > 1 else ""
    recipe = f" (recipe {row.recipe})" if len({other.recipe for other in same}) > 1 else ""
    return row.model + encoder + recipe
