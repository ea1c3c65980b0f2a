"""Killed and concurrent writers leave whole records only."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from results.store import read_record, write_record

ROOT = Path(__file__).resolve().parents[2]

# Writes the same record again and again, with a growing seed and a large body so that a write takes a while.
WRITER = """
import dataclasses, sys
from results.store import read_record, write_record
record = read_record(sys.argv[1])
record = dataclasses.replace(record, per_item={f"image {i}": {"AP": i % 100 + 0.5} for i in range(2000)})
print("ready", flush=True)
while True:
    record = dataclasses.replace(record, seed=record.seed + 1)
    write_record(record, sys.argv[2])
"""


def start_writer(template, target):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, template, target], cwd=ROOT, stdout=subprocess.PIPE)
    writer.stdout.readline()
    return writer


def kill_in_a_loop(make_record, tmp_path, times):
    """Two writers on one file; one of them is killed at a random moment, `times` times."""
    template = write_record(make_record(), tmp_path / "template" / "template.json")
    target = tmp_path / "store" / "record.json"
    generator = random.Random(0)
    writers = [start_writer(template, target) for _ in range(2)]
    seen = set()
    try:
        for index in range(times):
            deadline = time.monotonic() + 10
            while not target.exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(generator.uniform(0, 0.05))
            victim = writers[index % 2]
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            record = read_record(target)  # raises if it is half a record
            assert len(record.per_item) == 2000
            seen.add(target.stat().st_mtime_ns)
            writers[index % 2] = start_writer(template, target)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
    assert read_record(target)
    assert [path.name for path in target.parent.iterdir() if not path.name.startswith(".")] == ["record.json"]
    assert len(seen) > times // 2  # the writers really were at work in between


def test_a_killed_writer_leaves_no_half_record(make_record, tmp_path):
    kill_in_a_loop(make_record, tmp_path, 12)


@pytest.mark.slow
def test_a_writer_killed_200_times_leaves_no_half_record(make_record, tmp_path):
    kill_in_a_loop(make_record, tmp_path, 200)


def test_of_concurrent_writers_that_may_not_replace_exactly_one_wins(make_record, tmp_path):
    template = write_record(make_record(), tmp_path / "template.json")
    code = (
        "import dataclasses, sys; from flsl.runtime.errors import UserError; from results.store import *\n"
        "record = dataclasses.replace(read_record(sys.argv[1]), seed=int(sys.argv[3]))\n"
        "sys.stdin.read()\n"
        "try: write_record(record, sys.argv[2], replace=False); print('won')\n"
        "except UserError as error: print('lost' if 'exists already' in str(error) else error)\n"
    )
    target = tmp_path / "record.json"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, template, target, str(seed)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    time.sleep(0.5)
    for writer in writers:
        writer.stdin.close()
    said = [writer.stdout.read().strip() for writer in writers]
    for writer in writers:
        writer.wait()
        writer.stdout.close()
    assert sorted(said) == ["lost"] * 3 + ["won"]
    assert read_record(target).seed == said.index("won")


@pytest.mark.slow
def test_ten_thousand_records_load_in_under_five_seconds(make_record, tmp_path, cli):
    per_item = {f"sequence-{i}": {"J&F": 50.0, "J": 40.0, "F": 60.0} for i in range(30)}
    text = write_record(make_record(per_item=per_item), tmp_path / "template.json").read_text()
    folder = tmp_path / "records"
    folder.mkdir()
    for index in range(10_000):
        (folder / f"record_{index}.json").write_text(
            text.replace('"seed": 0,\n "timing"', f'"seed": {index},\n "timing"')
        )
    from results.store import load_records

    start = time.process_time()  # other programs may be busy on this machine
    loaded = load_records(folder)
    took = time.process_time() - start
    assert took < 5.0
    assert len({record.seed for record in loaded.records.values()}) == 10_000
    start = time.process_time()
    plain = [json.loads(path.read_bytes()) for path in sorted(folder.iterdir())]
    assert took < 3.5 * (time.process_time() - start)  # checking everything costs little beside reading it at all
    assert len(plain) == 10_000
