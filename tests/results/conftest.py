"""Makers of records for the tests of the aggregator."""

import json
from pathlib import Path

import pytest
from support.records import coco_metrics, davis_metrics, record

from results.record import Record
from results.store import write_record
from results.study.cells import Place


@pytest.fixture(scope="session")
def make_record():
    return record


@pytest.fixture(scope="session")
def davis_scores():
    return davis_metrics


@pytest.fixture(scope="session")
def coco_scores():
    return coco_metrics


@pytest.fixture
def write_records(tmp_path):
    """Write records under `tmp_path / "records"`, one folder each; returns that folder."""

    def write(*records: Record) -> Path:
        folder = tmp_path / "records"
        for index, item in enumerate(records):
            write_record(item, folder / f"run{index}" / "record.json")
        return folder

    return write


@pytest.fixture
def edit_record():
    """Change the JSON of a record file behind the program's back."""

    def edit(path: Path, change) -> Path:
        plain = json.loads(path.read_text())
        change(plain)
        path.write_text(json.dumps(plain))
        return path

    return edit


@pytest.fixture
def cli(capsys):
    """Run `python -m results ...` in this process; returns (exit code, stdout, stderr)."""
    from results.__main__ import main

    def run(*arguments) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def place(tmp_path):
    """Where a study of `support.studies` runs: 40 pictures, and clips."""
    for name in ("pictures", "clips"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(40):
        (tmp_path / f"data/pictures/{number}.jpg").touch()
    return Place(tmp_path / "data", tmp_path / "out")
