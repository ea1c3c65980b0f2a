"""The leaderboard as one self-contained page: overview, measured and published rows, scatter plot, every record."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from results.benchmarks import METRIC_COLUMNS
from results.escape import as_html
from results.leaderboard import RANKS, Leaderboard, Row, titles_of, trainings_of
from results.page import make_page
from results.paper import TABLES, adapter_of
from results.published import Figure, Published
from results.record import Record
from results.schema import record_to_plain
from results.verdict import backbone_of, judge

INTRODUCTION = (
    """<details><summary>How to read this page</summary>
<p>Rows in <span class="badge measured">measured</span> come from result records; rows in
<span class="badge published">published</span> are figures from the literature, have no rank, and stand only with
records of the same protocol on the official data († quoted from a third party). Different protocols,
protocol versions and data sets are never ranked together. Scores are in percent; ± is the standard deviation over seeds; bars
are 95 % intervals, with their numbers when pointed at or as a column of their own.</p>
<p>"""
    + as_html(RANKS)
    + """</p></details>
<noscript><p>This page needs JavaScript for its tables. The CSV file beside it holds the measured rows.</p></noscript>
<main id="app"></main>"""
)


def leaderboard_page(board: Leaderboard, published: Published) -> str:
    """Return the HTML of the leaderboard; the same rows give the same bytes."""
    boards: dict[tuple, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []  # `board` is the key of one until all are known
    records: list[dict[str, Any]] = []
    titles, trainings = titles_of(board.rows), trainings_of(board.rows)
    for row in board.rows:
        title = titles[row.board]
        boards.setdefault(row.board, _board(row.protocol, row.headline, title, row.official, measured=True))
        key = " ".join([row.model, *sorted(trainings[row.model, row.fingerprint])])
        rows.append({"board": row.board, "key": key, **_measured(row, len(records), published)})
        records += [_details(record) for record in row.records]
    for table in TABLES.values():
        kind = "nothing measured yet" if adapter_of(table.name) else "no adapter here"
        for protocol in table.protocols:
            homes = [key for key, b in boards.items() if b["protocol"] == protocol and b["official"]]
            theirs = _published([f for f in published.figures if (f.table, f.protocol) == (table.name, protocol)])
            if theirs and not homes:
                column = next(column for column in table.columns if column.protocol == protocol)
                title = f"{table.title}{': ' * bool(column.words)}{column.words} ({kind})"
                homes = [(table.name, protocol)]
                boards[homes[0]] = _board(protocol, column.metric.name, title, official=True)
            rows += [{"board": home, **row} for home in homes for row in theirs]
    shown = sorted(boards, key=lambda key: not boards[key]["official"])
    rows = [row | {"board": shown.index(row["board"])} for row in rows]
    left_out = [f"<li>{as_html(sentence.split(': ', 1)[-1])}</li>" for sentence in board.left_out]
    notes = f"<h2>Left out</h2><ul class=quiet>{''.join(sorted(left_out))}</ul>" if left_out else ""
    return make_page(
        "Leaderboard",
        INTRODUCTION + notes,
        styles=("leaderboard.css",),
        scripts=("leaderboard.js", "overview.js", "save.js", "scatter.js"),
        data={"boards": [boards[key] for key in shown], "rows": rows, "records": records, "metrics": METRIC_COLUMNS},
    )


def _board(protocol: str, headline: str, title: str, official: bool, measured: bool = False) -> dict[str, Any]:
    return {"protocol": protocol, "headline": headline, "title": title, "official": official, "measured": measured}


def _split(backbone: str) -> dict[str, str]:
    architecture, _, patch = backbone.partition("/")
    return {"architecture": architecture or "not stated", "patch": patch}


def _measured(row: Row, first_record: int, published: Published) -> dict[str, Any]:
    verdicts = [judge(row, metric, published) for metric in (row.headline, *row.metrics)]
    verdict = next((found for found in verdicts if found.word != "no reference"), verdicts[0])
    away = "" if verdict.word == "no reference" else f" ({verdict.difference:+.1f})".replace("-", "−")
    return {
        "origin": "measured",
        "rank": row.rank,
        "rankNote": row.rank_note,
        "name": row.label,
        "model": row.model,
        "method": row.method,
        "pretrained": row.pretrained,
        **_split(backbone_of(row.architecture, row.patch_size)),
        "parameters": row.parameters,
        "scores": {name: round(value, 4) for name, value in row.metrics.items()},
        "spreads": {name: round(row.spread(name) or 0.0, 4) for name in row.metrics if row.seeds > 1},
        "covers": row.covers,
        "low": row.interval_low and round(row.interval_low, 4),
        "high": row.interval_high and round(row.interval_high, 4),
        "seeds": row.seeds,
        "verdict": verdict.word + away,
        "why": verdict.reason or verdict.metric,
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
