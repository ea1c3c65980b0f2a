"""A benchmark is added as README says: one folder in `eval/` and one declaration; every output then knows it."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

COMMAND = '''"""Guess digits (a toy).

python -m eval toy --checkpoint CHECKPOINT --data DIR --out DIR
"""

from eval.arguments import add_common_arguments, evaluate_arguments


def add_arguments(parser):
    """Add the adapter's arguments."""
    add_common_arguments(parser)


def run(arguments):
    """Run the evaluation; returns the exit code."""
    evaluate_arguments(arguments, ())
    return 0
'''

RUN = '''"""From digits to a record."""

from eval.run import load
from flsl.runtime.files import digest_of_files, write_text
from flsl.runtime.schema import section
from results.bootstrap import percentile_interval
from results.record import Dataset

import numpy as np


@section
class Options:
    """Nothing can be chosen."""


def evaluate(encoder, data, run, options):
    """Guess 7 each time."""
    digits = data / "digits.txt"
    truth = np.array([int(line) for line in digits.read_text().split()])
    loaded = load(encoder, run.choose_device(), run.seed)
    model = loaded.model_fields(run.name)
    digest = digest_of_files(data, [digits], contents=True)
    with run.claim({"encoder": model["fingerprint"], "data": digest}, outputs=["guesses.txt"]) as state:
        if state == "done":
            return run.kept()
        write_text(run.out / "guesses.txt", "7 " * len(truth))
        wrong = 100.0 * (truth != 7)
        return run.finish(
            model=model,
            protocol="toy/sevens@1",
            dataset=Dataset("digits", "val", True, len(truth), len(truth), run.benchmark.item, digest),
            values={"error": wrong.mean(), "bias": float((7 - truth).mean())},
            intervals={"error": percentile_interval(wrong, unit=run.benchmark.item)},
            items=len(truth),
            files={"predictions": "guesses.txt"},
        )
'''

METRICS = """TOY_METRICS = (
    MetricDeclaration("error", "wrong guesses", higher_is_better=False),
    MetricDeclaration("bias", "bias", unit="percentage points", column=False),
)

"""
DECLARATION = """        Benchmark(
            key="toydigits",
            command="toy",
            title="Toy digits",
            summary="guesses digits without looking",
            protocols=(ProtocolDeclaration("toy/*", "error", TOY_METRICS),),
            item="digits",
            data_folders=("digits",),
            costs=Costs(gpu="seconds", cpu="seconds"),
            verified=False,
            tables=(
                TableDeclaration(
                    name="toytable",
                    title="Digits that nobody looked at",
                    columns=columns_of("toy/sevens@1", TOY_METRICS),
                ),
            ),
        ),
"""
LIST_BEGINS, LIST_ENDS = "BENCHMARKS: dict", "    )\n}\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the packages with the toy added; returns its folder."""
    root = tmp_path_factory.mktemp("project")
    for package in ("flsl", "eval", "results"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    (root / "eval" / "toy").mkdir()
    (root / "eval" / "toy" / "command.py").write_text(COMMAND)
    (root / "eval" / "toy" / "run.py").write_text(RUN)
    path = root / "results" / "benchmarks.py"
    text = path.read_text()
    assert text.count(LIST_BEGINS) == text.count(LIST_ENDS) == 1
    path.write_text(text.replace(LIST_BEGINS, METRICS + LIST_BEGINS).replace(LIST_ENDS, DECLARATION + LIST_ENDS))
    (root / "data" / "digits").mkdir(parents=True)
    (root / "data" / "digits" / "digits.txt").write_text("7 1 7 8 7 7 7 2 7 7\n")
    return root


# Runs programs of the copy, one a line of its input, in one process: importing torch for each takes seconds.
PROGRAMS = """
import contextlib, importlib, io, json, sys
for line in sys.stdin:
    program, *words = json.loads(line)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = importlib.import_module(f"{program}.__main__").main(words)
        except SystemExit as ended:  # after --help
            code = ended.code or 0
    print(json.dumps([code, said.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def call(project):
    """Run a program of the copy; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(project), "COLUMNS": "200"}
    command, pipe = [sys.executable, "-c", PROGRAMS], subprocess.PIPE
    with subprocess.Popen(command, cwd=project, env=environment, stdin=pipe, stdout=pipe, text=True) as programs:

        def run(*words: object, code: int = 0) -> str:
            programs.stdin.write(json.dumps([*map(str, words)]) + "\n")
            programs.stdin.flush()
            ended, said = json.loads(programs.stdout.readline())
            assert ended == code, said
            return said

        yield run


@pytest.fixture(scope="module")
def record(project, call):
    """The record of the toy's run."""
    words = ("toy", "--checkpoint", "random:vit_micro/16", "--data", "data/digits", "--out", "runs/toy")
    assert "toy/sevens@1 digits: error 30.00" in call("eval", *words)
    assert "skipped" in call("eval", *words)
    return json.loads((project / "runs" / "toy" / "record.json").read_text())


def test_the_run_takes_unit_direction_and_headline_from_the_declaration(record):
    assert (record["benchmark"], record["headline"], record["status"]) == ("toydigits", "error", "complete")
    assert record["metrics"]["error"]["higher_is_better"] is False
    assert record["metrics"]["bias"]["unit"] == "percentage points"
    assert record["dataset"]["item"] == "digits"


def test_help_names_it(call):
    assert re.search(r"toy +guesses digits without looking", call("eval", "--help"))
    assert "Guess digits (a toy)." in call("eval", "toy", "--help")
    assert "toytable" in call("results", "table", "--help")
    assert "toydigits" in call("results", "list", "--help")


def test_make_has_a_target_for_it(project):
    words = ["make", "-n", "eval-toy", "CHECKPOINT=random:vit_micro/16", "DATA=data/digits"]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True)
    assert "-m eval toy --checkpoint random:vit_micro/16 --data data/digits" in done.stdout


def test_the_leaderboard_ranks_it_with_a_column(record, project, call):
    shown = call("results", "leaderboard", "--records", "runs", "--out", "board.csv")
    assert "toy/sevens@1" in shown
    (row,) = csv.DictReader((project / "board.csv").open())
    assert (row["benchmark"], row["headline"], float(row["error"])) == ("toydigits", "error", 30.0)
    assert "bias" not in row
    page = (project / "board.html").read_text()
    assert '"protocol":"toy/sevens@1"' in page.replace('": "', '":"')


def test_its_table_has_our_row(record, call):
    text = call("results", "table", "toytable", "--records", "runs")
    assert text.startswith("## Digits that nobody looked at")
    assert "| Method | Backbone | wrong guesses | bias |" in text
    assert re.search(r"\(ours: .*\| 30\.0 \[.*\] \| 1\.0 \|", text)
    assert "## Digits that nobody looked at" in call("results", "table", "all", "--records", "runs")


def test_it_is_listed_shown_and_reproduced(record, call):
    assert "toy/sevens@1" in call("results", "list", "--records", "runs", "--benchmark", "toydigits")
    assert "30.0000" in call("results", "show", "runs")
    plan = call("results", "reproduce", "toytable", "--checkpoint", "random:vit_micro/16", "--data", "data", "--plan")
    assert re.search(r"toytable +│ run", plan)


def test_what_it_does_not_declare_is_refused(record, project, call):
    assert "1 valid, 0 broken" in call("results", "validate", "--records", "runs")
    record = dict(record, metrics={"eror" if name == "error" else name: m for name, m in record["metrics"].items()})
    (project / "wrong").mkdir(exist_ok=True)
    (project / "wrong" / "record.json").write_text(json.dumps(record))
    told = call("results", "validate", "--records", "wrong", code=2)
    assert "metrics.eror is not a known metric of toy/sevens@1. Did you mean 'error'?" in told
