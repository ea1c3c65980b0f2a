"""Reproduction for reviewers: plan the evaluations that published claims need, run what is missing, judge each claim."""

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from flsl.runtime.apart import require_apart
from flsl.runtime.errors import UserError
from flsl.runtime.marker import read_marker
from flsl.runtime.recipes import named_recipes
from results.declaration import Benchmark
from results.doctor import Check, abilities, examine, largest_gpu
from results.leaderboard import build_leaderboard
from results.paper import TABLES, adapter_of, table_names
from results.published import read_figures, read_published
from results.record import Record
from results.store import find_records, load_records, read_record
from results.tables import row_interval
from results.verdict import Verdict, judge, size_of

INSPECT = (
    "import json, sys; from flsl.checkpoint import load_encoder; "
    "print('MODEL ' + json.dumps(load_encoder(sys.argv[1]).model_fields()))"
)


@dataclass(frozen=True)
class Step:
    """One table of the plan. `run` has a command; `skip` a record that is there; `leave out` a reason why nothing is."""

    table: str
    action: Literal["run", "skip", "leave out"]
    reason: str
    command: tuple[str, ...] = ()
    record: Path | None = None
    time: str = ""


@dataclass(frozen=True)
class Claim:
    """One published figure against ours; `interval` bounds ours, `holds` is None where nothing could be checked."""

    table: str
    verdict: Verdict
    interval: tuple[float, float] | None
    record: Path
    holds: bool | None


def inspect_checkpoint(checkpoint: str) -> dict[str, Any]:
    """Load the checkpoint in a process of its own and return the record's model fields.

    Raises UserError with the loader's own words if it is no encoder.
    """
    done = subprocess.run([sys.executable, "-c", INSPECT, checkpoint], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("MODEL ")]
    if not lines:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise UserError(f"checkpoint {checkpoint} cannot be evaluated: {last.split('UserError: ')[-1]}")
    return json.loads(lines[-1].removeprefix("MODEL "))


def tables_of(name: str) -> list[str]:
    """Return the table's name, or for `all` those that this project measures; UserError names the nearest one."""
    return [table for table in table_names(name) if name != "all" or adapter_of(table)]


def make_plan(
    tables: Sequence[str],
    checkpoint: str,
    model: Mapping[str, Any],
    data: Path | None,
    out: Path,
    *,
    records: Sequence[Path] = (),
    config: Sequence[str] = (),
    options: Sequence[str] = (),
) -> list[Step]:
    """Say for each table what will be done and why; nothing is run but `python -m eval data verify`.

    Args:
        tables: names of `results.paper.TABLES`.
        checkpoint: what is evaluated; `model` are its fields (`inspect_checkpoint`).
        data: the benchmark's folder, or one that holds one per benchmark, named as its declaration says.
        out: runs go to `out/<table>-<fingerprint>`.
        records: further folders in which a finished record may be.
        config: recipes in place of the full-size ones, each `TABLE=FILE`; a FILE alone is for the only table that takes one.
        options: passed on to `python -m eval`, such as `--device cuda`.

    Raises:
        UserError: a recipe for a table that takes none or is not asked for, or one that could be for several.
    """
    steps, recipes = [], _recipes(config, tables)
    for table in tables:
        folder = out / f"{table}-{model['fingerprint'][:12]}"
        benchmark = adapter_of(table)
        own = (recipes.get(table) or recipes.get("")) if benchmark and benchmark.recipes else None
        place = _data_folder(data, _folders(table, benchmark), len(tables) == 1) if benchmark else None
        require_apart(folder, {"the files of --data": place})
        if benchmark is None:
            steps.append(Step(table, "leave out", "no adapter here: this project has no evaluation for this table"))
        # What a finished record was made by is not known to be the recipe that is named: the run itself knows, and skips.
        elif own is None and (done := _finished(table, model["fingerprint"], [folder, *records], place)):
            steps += [
                Step(table, "skip", f"{path} is complete, of this encoder and protocol", record=path) for path in done
            ]
        else:
            steps.append(_plan_run(table, benchmark, checkpoint, model, data, place, folder, own, options))
    takers = [step.table for step in steps if recipes.get("") in step.command and step.table not in recipes]
    if len(takers) > 1:
        ways = " ".join(f"--config {table}={recipes['']}" for table in takers)
        raise UserError(f"--config {recipes['']} could be for {' and '.join(takers)}; say which: {ways}")
    return steps


def _recipes(config: Sequence[str], tables: Sequence[str]) -> dict[str, str]:
    """Return table -> recipe; the key is empty for one that names no table."""
    recipes = {}
    for text in config:
        table, _, file = text.rpartition("=")
        named = table_names(table) if table else tables
        if not any((adapter := adapter_of(name)) and adapter.recipes for name in named):
            raise UserError(
                f"--config {text}: the table {' or '.join(named)} is measured without a recipe; leave it out"
            )
        if table and table not in tables:
            raise UserError(
                f"--config {text}: {table} is none of the tables asked for ({', '.join(tables)}); leave it out"
            )
        recipes[table] = file
    return recipes


def _folders(table: str, benchmark: Benchmark) -> Sequence[str]:
    return TABLES[table].data_folders or benchmark.data_folders


def _plan_run(table: str, benchmark: Benchmark, checkpoint, model, data, found, folder, config, options) -> Step:
    checks = _machine()
    gpu = largest_gpu(checks)
    needed = next(check for check in abilities(checks, gpu) if check.name == benchmark.command)
    if needed.state in ("missing", "unknown"):
        return Step(table, "leave out", f"this machine {needed.found}; see: python -m results doctor")
    if found is None:
        names = " or ".join(_folders(table, benchmark))
        place = f"{data} holds no folder {names}" if data else "--data is not given"
        return Step(table, "leave out", f"no data: {place}")
    if benchmark.verified and (fault := _verify(benchmark.command, found)):
        return Step(table, "leave out", f"data in {found}: {fault}")
    recipe: list[str] = []
    if benchmark.recipes:
        size = f"{size_of(model['architecture']).lower()}{model['patch_size']}"
        fitting = [config] if config else named_recipes(benchmark.recipes.format(size=size))
        if not fitting:
            return Step(table, "leave out", f"no recipe {benchmark.recipes.format(size=size)}; name one with --config")
        recipe = ["--config", fitting[0]]
    command = ["python", "-m", "eval", benchmark.command, "--checkpoint", checkpoint, "--data", str(found)]
    command += ["--out", str(folder), *TABLES[table].arguments, *recipe, *options]
    costs = TABLES[table].costs or benchmark.costs
    time = "not known; the command with --plan measures it" if config and recipe else costs.gpu if gpu else costs.cpu
    return Step(table, "run", "no finished record yet", tuple(command), folder / "record.json", time)


def _verify(benchmark: str, data: Path) -> str:
    """Return what `python -m eval data verify` finds wrong first, empty if nothing."""
    verify = [sys.executable, "-m", "eval", "data", "verify", benchmark, str(data), "--quick"]
    checked = subprocess.run(verify, capture_output=True, text=True)
    if checked.returncode == 0:
        return ""
    said = (checked.stderr.strip() or checked.stdout.strip()).splitlines() or ["no reason given"]
    return said[0].removeprefix("error: ")


@cache
def _machine() -> list[Check]:
    """Look at the machine once, and only if something has to run on it."""
    return examine()


def _finished(table: str, fingerprint: str, folders: Sequence[Path], data: Path | None) -> list[Path]:
    """Return a complete record of the encoder by each of the table's protocols that has one, on the official data if it can be.

    One on drawn data answers for no others than `data`, if those are there.
    """
    try:
        marker = read_marker(data) if data else None
    except UserError:  # the run, or verifying its data, says so
        marker = None
    fitting: dict[str, list[tuple[bool, Path]]] = {}
    for folder in filter(Path.exists, folders):
        try:
            found = load_records(find_records(folder)).records
        except UserError:
            continue
        for path, record in found.items():
            ours = record.model.fingerprint == fingerprint and record.protocol in TABLES[table].protocols
            official = record.dataset.official
            answers = official or not data or (marker and record.dataset.name.startswith(marker["name"]))
            if ours and answers and record.status == "complete":
                fitting.setdefault(record.protocol, []).append((not official, path))
    return [min(of_protocol)[1] for of_protocol in fitting.values()]


def _data_folder(data: Path | None, names: Sequence[str], alone: bool) -> Path | None:
    if data is None:
        return None
    inside = [data / name for name in names if (data / name).is_dir()]
    return inside[0] if inside else data if alone and data.is_dir() else None


def carry_out(steps: Sequence[Step]) -> tuple[list[Step], dict[Path, Record], list[Claim]]:
    """Run what is to run; returns the steps, with the reason where one failed, the records that are there, and their claims."""
    done, records, claims = list[Step](), dict[Path, Record](), list[Claim]()
    for step in steps:
        if step.action == "run" and run_step(step) != 0:
            print(f"{step.table}: the evaluation failed; its own message is above")
            step = replace(step, reason="the evaluation failed")  # a record that may be there answered another question
        elif step.record and step.record.exists():
            records[step.record] = read_record(step.record)
            claims += judge_claims(step.table, step.record, records[step.record])
        done.append(step)
    return done, records, claims


def run_step(step: Step) -> int:
    """Run the evaluation of a step with its output on this terminal; returns its exit code."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    print(f"$ {shlex.join(step.command)}", flush=True)
    return subprocess.run([sys.executable, *step.command[1:]], env=environment).returncode


def judge_claims(table: str, path: Path, record: Record) -> list[Claim]:
    """Compare every score of a record that its table prints with the published figure of the same model.

    A claim holds if it is reproduced or exceeded; other data leave it open, as does a figure that nobody has published.
    """
    rows = build_leaderboard({path: record}).rows
    published = read_published()
    claims = []
    for row in rows:
        for protocol, metric in (column.key for column in TABLES[table].columns):
            if protocol == row.protocol and metric in row.metrics:
                verdict = judge(row, metric, published)
                holds = None if verdict.word == "no reference" else verdict.word != "below"
                claims.append(Claim(table, verdict, row_interval(row, metric), path, holds))
    return claims


def is_checkable(table: str) -> bool:
    """Tell whether somebody has published what records of this project can be held against in a table."""
    published = any(figure.table == table and "@" in figure.protocol for figure in read_figures())
    return published and adapter_of(table) is not None


def exit_code(steps: Sequence[Step], claims: Sequence[Claim]) -> int:
    """Return 1 if a checked claim does not hold, otherwise 2 if a table could not be checked at all, otherwise 0.

    Of several tables only those count for which somebody has published what is measured here.
    """
    if any(claim.holds is False for claim in claims):
        return 1
    tables = {step.table for step in steps}
    wanted = {table for table in tables if is_checkable(table)} or tables
    return 0 if wanted <= {claim.table for claim in claims if claim.holds} else 2


def summary(steps: Sequence[Step], claims: Sequence[Claim]) -> list[str]:
    """Say in sentences what was checked, and what could not be, and why."""
    sentences = []
    for table in dict.fromkeys(claim.table for claim in claims if claim.holds is not None):
        words = Counter(claim.verdict.word for claim in claims if claim.table == table and claim.holds is not None)
        told = ", ".join(f"{count} {word}" for word, count in words.items())
        sentences.append(f"Checked: {sum(words.values())} figures of {TABLES[table].title} ({table}): {told}.")
    of_table = {step.table: step for step in steps}
    for step in of_table.values():
        mine = [claim for claim in claims if claim.table == step.table]
        if any(claim.holds is not None for claim in mine):
            continue
        reasons = dict.fromkeys(claim.verdict.reason for claim in mine) or [step.reason]
        sentences.append(f"Not checked: {TABLES[step.table].title} ({step.table}): {'; '.join(reasons)}.")
    without = [table for table in TABLES if adapter_of(table) is None and table not in of_table]
    if len(of_table) > 1 and without:
        sentences.append(f"Not measured by this project, so no part of it: {', '.join(without)}.")
    return sentences
