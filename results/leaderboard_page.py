"""The leaderboard as one self-contained page: measured and published rows, scatter plot, details of every record."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from results.benchmarks import METRIC_COLUMNS
from results.escape import as_html
from results.leaderboard import Leaderboard, Row
from results.page import make_page
from results.paper import TABLES, adapter_of
from results.published import Figure, Method, Tolerance
from results.record import Record
from results.schema import record_to_plain
from results.verdict import backbone_of, judge

INTRODUCTION = """<p>Rows in <span class="badge measured">measured</span> come from result records; rows in
<span class="badge published">published</span> are figures from the literature, have no rank, and stand only with
records of the same protocol on the official data († quoted from a third party). Different protocols,
protocol versions and data sets are never ranked together. Scores are in percent; bars are 95 % intervals.</p>
<noscript><p>This page needs JavaScript for its tables. The CSV file beside it holds the measured rows.</p></noscript>
<main id="app"></main>"""


def leaderboard_page(
    board: Leaderboard,
    figures: Sequence[Figure],
    tolerances: Mapping[tuple[str, str], Tolerance],
    methods: Mapping[str, Method],
) -> str:
    """Return the HTML of the leaderboard; the same rows give the same bytes."""
    boards: dict[tuple, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    for row in board.rows:
        boards.setdefault(row.board, _board(row.protocol, row.headline, row.official, _data_of(row)))
        rows.append(_measured(row, list(boards).index(row.board), len(records), figures, tolerances, methods))
        records += [_details(record) for record in row.records]
    for table in TABLES.values():
        data = "official data, nothing measured yet" if adapter_of(table.name) else "published figures, no adapter here"
        for protocol in table.protocols:
            homes = [i for i, b in enumerate(boards.values()) if b["protocol"] == protocol and b["official"]]
            published = _published([f for f in figures if (f.table, f.protocol) == (table.name, protocol)])
            if published and not homes:
                headline = next(column.metric.name for column in table.columns if column.protocol == protocol)
                boards[table.name, protocol] = _board(protocol, headline, True, data)
                homes = [len(boards) - 1]
            rows += [{**row, "board": home} for home in homes for row in published]
    left_out = [f"<li>{as_html(sentence.split(': ', 1)[-1])}</li>" for sentence in board.left_out]
    notes = f"<h2>Left out</h2><ul class=quiet>{''.join(sorted(left_out))}</ul>" if left_out else ""
    return make_page(
        "Leaderboard",
        INTRODUCTION + notes,
        styles=("leaderboard.css",),
        scripts=("leaderboard.js", "scatter.js"),
        data={"boards": list(boards.values()), "rows": rows, "records": records, "metrics": METRIC_COLUMNS},
    )


def _board(protocol: str, headline: str, official: bool, data: str) -> dict[str, Any]:
    return {"protocol": protocol, "headline": headline, "official": official, "data": data}


def _data_of(row: Row) -> str:
    kind = "" if row.official else ", not the official data"
    annotations = f", annotations {row.annotation_sha256[:8]}" if row.annotation_sha256 else ""
    return f"{row.dataset} {row.split}, {row.items} {row.item}{kind}{annotations}"


def _split(backbone: str) -> dict[str, str]:
    architecture, _, patch = backbone.partition("/")
    return {"architecture": architecture or "not stated", "patch": patch}


def _measured(row: Row, board: int, first_record: int, figures, tolerances, methods) -> dict[str, Any]:
    verdict = judge(row, row.headline, figures, tolerances, methods)
    word = (
        verdict.word
        if verdict.word == "no reference"
        else f"{verdict.word} ({verdict.difference:+.1f})".replace("-", "−")
    )
    return {
        "origin": "measured",
        "board": board,
        "rank": row.rank,
        "name": row.label,
        "key": f"{row.model} {row.fingerprint}",
        "method": row.method,
        **_split(backbone_of(row.architecture, row.patch_size)),
        "scores": {name: round(value, 4) for name, value in row.metrics.items()},
        "low": row.interval_low and round(row.interval_low, 4),
        "high": row.interval_high and round(row.interval_high, 4),
        "seeds": row.seeds,
        "verdict": word,
        "why": verdict.reason,
        "records": list(range(first_record, first_record + len(row.records))),
    }


def _published(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    rows: dict[tuple, dict[str, Any]] = {}
    for figure in figures:
        fresh = {
            "origin": "published",
            "name": figure.method,
            "key": f"published {figure.method} {figure.backbone}",
            "method": figure.method,
            **_split(figure.backbone),
            "scores": {},
            "status": {},
            "sources": [],
        }
        row = rows.setdefault(figure.row, fresh)
        row["scores"][figure.metric] = figure.value
        row["status"][figure.metric] = figure.status
        source = f"{figure.source} ({figure.status})"
        row["sources"] += [source] if source not in row["sources"] else []
    return list(rows.values())


def _details(record: Record) -> dict[str, Any]:
    """Return what the page shows of one record: all but the recipe's values and the single items."""
    plain = record_to_plain(dataclasses.replace(record, per_item={}, config={}))
    del plain["per_item"], plain["config"]
    return plain | {"items scored one by one": len(record.per_item)}
