"""Killed and concurrent writers leave whole records only."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from results.store import read_record, write_record

ROOT = Path(__file__).resolve().parents[2]

# Two writers of one record with a large body, so that a write takes a while; each is killed at random moments, in turn.
# They are copies of one process that has imported everything, so that 200 kills take seconds.
KILLS = """
import dataclasses, os, random, signal, sys, time
from pathlib import Path
from results.store import read_record, write_record
template, target, times = read_record(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
items = {f"image {i}": {"J": i % 100 + 0.5} for i in range(100)}

def start(first_seed):
    child = os.fork()
    if child:
        return child
    for seed in range(first_seed, 2**31):
        write_record(dataclasses.replace(template, per_item=items, seed=seed), target)

write_record(dataclasses.replace(template, per_item=items), target)
generator, seen, writers = random.Random(0), set(), []
try:
    for turn in range(times):
        while len(writers) < 2:
            writers.append(start(1000 * (turn + len(writers))))
        deadline = time.monotonic() + 5
        while read_record(target).seed in seen and time.monotonic() < deadline:  # until one has written
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.02))
        child = writers.pop(0)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        record = read_record(target)  # raises if it is half a record
        assert len(record.per_item) == 100
        seen.add(record.seed)
finally:
    for child in writers:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
print(len(seen))
"""


def test_200_kills_of_two_writers_leave_no_half_record(make_record, tmp_path):
    template = write_record(make_record(), tmp_path / "template.json")
    target = tmp_path / "store" / "record.json"
    done = subprocess.run(
        [sys.executable, "-c", KILLS, template, target, "200"], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100  # the writers really were at work in between
    assert read_record(target)
    assert [path.name for path in target.parent.iterdir() if not path.name.startswith(".")] == ["record.json"]


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
