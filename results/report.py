"""The reproduction report: claim by claim, as data (JSON) and as a page that can be handed to a reviewer."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from results.compare import Comparison
from results.environment import collect_code, collect_environment
from results.escape import as_html
from results.page import figure_of, grid_of, list_of, make_page, table_of
from results.paper import TABLES
from results.record import Record
from results.reproduce import Claim, Step, summary
from results.schema import record_to_plain
from results.store import beside

MEANING = {0: "all checked claims hold", 1: "a claim does not hold", 2: "something could not be checked"}
PICTURE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
LARGEST_PICTURE = 2 << 20  # bytes


def report_data(
    model: Mapping[str, Any],
    steps: Sequence[Step],
    claims: Sequence[Claim],
    records: Mapping[Path, Record],
    comparisons: Sequence[Comparison],
    code: int,
) -> dict[str, Any]:
    """Return everything that the report says, as plain values."""
    return {
        "outcome": {"exit_code": code, "meaning": MEANING[code]},
        "summary": summary(steps, claims),
        "code": collect_code(),
        "machine": collect_environment(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": dict(model),
        "steps": [dataclasses.asdict(step) | {"record": str(step.record or "")} for step in steps],
        "claims": [_claim(claim) for claim in claims],
        "comparisons": [dataclasses.asdict(c) | {"interval": c.interval, "note": c.notes} for c in comparisons],
        "records": {
            str(path): record_to_plain(dataclasses.replace(record, per_item={})) for path, record in records.items()
        },
    }


def _claim(claim: Claim) -> dict[str, Any]:
    verdict, figure = claim.verdict, claim.verdict.figure
    return {
        "table": claim.table,
        "metric": verdict.metric,
        "published": figure.value if figure else None,
        "status": figure.status if figure else None,
        "source": figure.source if figure else None,
        "measured": verdict.measured,
        "interval": list(claim.interval) if claim.interval else None,
        "difference": verdict.difference,
        "tolerance": verdict.tolerance.value if verdict.tolerance else None,
        "tolerance_reason": verdict.tolerance.reason if verdict.tolerance else None,
        "verdict": verdict.word,
        "reason": verdict.reason,
        "holds": claim.holds,
        "record": str(claim.record),
    }


def report_page(data: Mapping[str, Any]) -> str:
    """Return the page for `report_data`; pictures that the records name are put inside."""
    outcome, model = data["outcome"], data["model"]
    word = {0: "reproduced", 1: "below"}.get(outcome["exit_code"], "")
    parts = [f"<p class='verdict {word}'>{as_html(outcome['meaning'].capitalize())}.</p>"]
    parts.append(list_of(data["summary"]))
    code, machine = data["code"], data["machine"]
    hardware = _listed(machine["gpus"]) or machine["processor"]
    commit = (
        f"commit {code['commit'][:12]}{' (with changes)' if code['dirty'] else ''}" if code["commit"] else "no clone"
    )
    parts.append(f"<p>Judged {as_html(data['created'][:16].replace('T', ' '))} UTC by {as_html(commit)} on "
                 f"{as_html(hardware)}, Python {as_html(machine['python'])}; where and how each score was made is under Evidence.</p>")  # fmt: skip
    parts.append(f"<p>Encoder: <strong>{as_html(model['name'])}</strong>, {as_html(model['method'])}, "
                 f"{as_html(model['architecture'])}/{model['patch_size']}.<br><code>sha256 over the encoder's tensors: "
                 f"{as_html(model['fingerprint'])}<br>sha256 of the file: {as_html(model.get('file_sha256') or 'none')}</code></p>")  # fmt: skip
    for step in data["steps"]:
        table = step["table"]
        parts.append(f"<section><h2>{as_html(TABLES[table].title)}</h2>")
        parts.append(f"<p class=quiet>{as_html(step['action'])}: {as_html(step['reason'])}</p>")
        claims = [claim for claim in data["claims"] if claim["record"] == step["record"]]
        if claims:
            parts.append(_claims_table(claims))
        record = data["records"].get(step["record"])
        parts += [_evidence(record, Path(step["record"]))] if record else []
        parts.append("</section>")
    if data["comparisons"]:
        parts.append(_comparisons_table(data["comparisons"]))
    return make_page("Reproduction report", "\n".join(parts))


def _claims_table(claims: Sequence[Mapping[str, Any]]) -> str:
    body = []
    for claim in claims:
        interval = f" [{claim['interval'][0]:.2f}, {claim['interval'][1]:.2f}]" if claim["interval"] else ""
        tolerance = f"±{claim['tolerance']:g}: {claim['tolerance_reason']}" if claim["tolerance"] else ""
        status = claim["status"] if claim["status"] != "verified" else ""
        difference = "" if claim["difference"] is None else f"{claim['difference']:+.2f}"
        texts = [
            "" if claim["published"] is None else f"{claim['published']:g} {status}",
            claim["source"],
            f"{claim['measured']:.2f}{interval}",
            difference,
            tolerance,
        ]
        word = f"<td class='verdict {claim['verdict'].replace(' ', '-')}'>{as_html(claim['verdict'])}"
        word += f" <span class=quiet>{as_html(claim['reason'])}</span></td>" if claim["reason"] else "</td>"
        name = f"<th scope=row>{as_html(claim['metric'])}</th>"
        body.append([name, *(f"<td>{as_html(text)}</td>" for text in texts), word])
    head = ("Metric", "Published", "Source", "Measured [95 % interval]", "Difference", "Tolerance", "Verdict")
    return grid_of(head, body)


def _evidence(record: Mapping[str, Any], path: Path) -> str:
    data, environment = record["dataset"], record["environment"]
    packages = _listed(environment.get("packages"))
    hardware = _listed(environment.get("gpus")) or environment.get("processor")
    facts = {
        "command": record["command"],
        "data": f"{data['name']} {data['split']}, {data['items_evaluated']} of {data['items_expected']} {data['item']}",
        "official data": "yes" if data["official"] else "no",
        "annotations sha256": data["annotation_sha256"],
        "learned from sha256": data["train_sha256"],
        "recipe sha256": record["config_sha256"],
        "seed": record["seed"],
        "code": f"commit {record['code'].get('commit')}, changed: {record['code'].get('dirty')}",
        "hardware": hardware,
        "versions": f"Python {environment.get('python')}, {packages}",
        "time": f"{record['timing']['wall_seconds']:.0f} s, finished {record['created']}",
        "warnings": "; ".join(record["warnings"]),
        "record": str(path),
    }
    lines = [
        [f"<th scope=row>{key}</th>", f"<td><code>{as_html(value)}</code></td>"]
        for key, value in facts.items()
        if value
    ]
    pictures = "".join(_picture(path, name, what) for what, name in record["files"].items())
    return f"<details><summary>Evidence</summary>{grid_of(('', ''), lines)}</details>{pictures}"


def _listed(value: object) -> str:
    """Return what a record's environment says, which may be anything, as text."""
    if isinstance(value, Mapping):
        value = [f"{name} {version}" for name, version in value.items()]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _picture(record: Path, name: str, what: str) -> str:
    picture = beside(record, name, PICTURE_TYPES, LARGEST_PICTURE)
    if picture is None:
        return ""
    return figure_of(picture, what, PICTURE_TYPES[Path(name).suffix.lower()], plot=what == "curves")


def _comparisons_table(comparisons: Sequence[Mapping[str, Any]]) -> str:
    rows = [[c["a"], c["b"], c["metric"], f"{c['difference']:+.2f} {c['interval']}", f"{c['p']:.4f}",
             f"{c['p_holm']:.4f}", f"{c['better']} of {c['items']}", c["note"]] for c in comparisons]  # fmt: skip
    head = ("A", "B", "Metric", "A − B [95 % interval]", "p", "p (Holm)", "Items on which A is better", "Note")
    return f"<section><h2>Against other models (paired bootstrap)</h2>{table_of(head, rows)}</section>"
