"""The program from outside: fast help, no torch, one-paragraph errors, and the smaller sub-commands."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from support.help_text import help_of

from results.frame import to_frame
from results.json_schema import json_schema
from results.store import read_record, write_record

ROOT = Path(__file__).resolve().parents[2]


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("arguments", [(), ("leaderboard",), ("reproduce",)])
def test_help_is_fast(arguments):
    assert "python -m results" in help_of("results", *arguments)


def test_no_module_of_the_aggregator_needs_torch_or_a_model():
    code = (
        "import importlib, pkgutil, sys, results\n"
        "names = [m.name for m in pkgutil.walk_packages(results.__path__, 'results.') if not m.name.endswith('__main__')]\n"
        "[importlib.import_module(name) for name in names]\n"
        "assert len(names) > 25, names\n"
        "print(sorted({n.split('.')[0] for n in sys.modules} & {'torch', 'timm', 'mmdet', 'eval', 'pretrain', 'pandas'}))\n"
        "print(sorted(n for n in sys.modules if n.startswith('flsl.') and not n.startswith('flsl.runtime')))"
    )
    done = python("-c", code)
    assert done.stdout.split() == ["[]", "[]"], done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--records", "nowhere"], "nowhere does not exist"),
        (["validate", "--records", "configs"], "no records in configs"),
        (["show", "nowhere/record.json"], "does not exist"),
        (["compare", "a/record.json"], "at least two"),
        (["compare", "a/record.json", "b/record.json"], "a/record.json cannot be read"),
        (["table", "all", "--records", "nowhere"], "nowhere does not exist"),
        (["import", "nowhere.zip", "--store", "x"], "nowhere.zip does not exist"),
        (["published", "--file", "nowhere.csv"], "nowhere.csv cannot be read"),
        (["reproduce", "davvis", "--checkpoint", "x"], "Did you mean 'davis'"),
        (["reproduce", "davis", "--checkpoint", "x", "--data", "nowhere"], "--data nowhere is not a folder"),
        (["reproduce", "davis", "--checkpoint", "x", "--against", "nowhere"], "nowhere cannot be read"),
    ],
)
def test_errors_are_one_paragraph_with_exit_code_2(cli, arguments, words):
    code, out, err = cli(*arguments)
    assert code == 2
    assert out == ""
    assert words in err
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1


def test_a_closed_pipe_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m results published | head -1", shell=True, capture_output=True, text=True, cwd=ROOT
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["results published", "results published --status verified --table ade20k"])
def test_an_output_that_takes_no_more_is_one_error(words):
    """A table longer than the output's buffer, and one that is written when the program ends."""
    command = f"{sys.executable} -m {words} > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "No space left on device" in line]
    assert done.stderr.startswith("error: the output, or a file")


def test_validate_counts_and_names_broken_records(make_record, write_records, cli):
    folder = write_records(make_record(), make_record(name="b"))
    assert cli("validate", "--records", folder)[:2] == (0, "2 valid, 0 broken\n")
    (folder / "record_x.json").write_text("{}")
    code, out, err = cli("validate", "--records", folder)
    assert (code, out) == (2, "2 valid, 1 broken\n")
    assert "record_x.json" in err
    assert "lacks the keys" in err
    for name in "abcde":
        (folder / "others" / name).mkdir(parents=True)
        (folder / "others" / name / "record.json").write_text("{}")
    code, out, err = cli("validate", "--records", folder / "others")
    assert (code, out, err.count("lacks the keys")) == (2, "0 valid, 5 broken\n", 5)


def test_list_filters_and_writes_every_metric(make_record, write_records, cli, tmp_path):
    folder = write_records(make_record(), make_record(name="half", items_evaluated=1, status="partial"))
    code, out, _ = cli("list", "--records", folder, "--status", "partial", "--out", tmp_path / "l.csv")
    assert code == 0
    assert "half" in out
    assert "flsl s16" not in out
    assert "1 of 2 records" in out
    lines = list(csv.DictReader((tmp_path / "l.csv").open()))
    assert [line["metric"] for line in lines] == ["F", "J", "J&F"]
    head = (tmp_path / "l.csv").read_text().splitlines()[0]
    assert cli("list", "--records", folder, "--status", "failed", "--out", tmp_path / "l.csv")[0] == 0
    assert (tmp_path / "l.csv").read_text().splitlines() == [head]  # no lines, but a table
    code, _, err = cli("list", "--records", folder, "--benchmark", "davis")
    assert code == 2
    assert "Did you mean 'davis2017'" in err


def test_frame_has_one_line_a_number(make_record):
    frame = to_frame({Path("a.json"): make_record(), Path("b.json"): make_record(seed=1)})
    assert len(frame) == 6
    assert frame[frame.headline].groupby("seed").value.mean().tolist() == [62.0, 62.0]
    assert frame.low.notna().sum() == 2


def test_show_prints_a_record_and_its_items(make_record, write_records, cli):
    folder = write_records(make_record())
    code, out, _ = cli("show", folder, "--items")
    assert code == 0
    for word in (
        "J&F",
        "62.0000",
        "60.00 to 64.00 (over 30 sequences, one training)",
        "headline",
        "config.radius",
        "camel",
    ):
        assert word in out
    plain = json.loads(cli("show", folder, "--json")[1])
    assert plain["model"]["name"] == "flsl s16"


def test_show_asks_which_of_several(make_record, write_records, cli):
    code, _, err = cli("show", write_records(make_record(), make_record(seed=1)))
    assert code == 2
    assert "holds 2 records" in err


def test_json_schema_accepts_records_and_refuses_what_is_none(make_record, tmp_path, cli):
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert cli("schema", "--out", tmp_path / "schema.json")[0] == 0
    validator = jsonschema.Draft202012Validator(json.loads((tmp_path / "schema.json").read_text()))
    path = write_record(make_record(), tmp_path / "record.json")
    plain = json.loads(path.read_text())
    validator.validate(plain)
    assert read_record(path)
    for change in (
        {"extra": 1},
        {"seed": "0"},
        {"protocol": "davis"},
        {"status": "done"},
        {"schema_version": 1},
        {"metrics": {"J": {"value": "60"}}},
    ):
        assert not validator.is_valid(plain | change), change
    del plain["model"]["fingerprint"]
    assert not validator.is_valid(plain)
