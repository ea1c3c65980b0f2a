"""`python -m pretrain bench` times both sides of the step and of the loader, and prints their ratios."""

import json
import re
import sys
import weakref

import pytest
import torch

from pretrain import bench_run
from pretrain.__main__ import main
from pretrain.bench import held_memory


def test_bench_prints_every_ratio(recipe_file, images, capsys):
    words = ["bench", str(recipe_file), "--against", "plain", "--batch", "2", "--rounds", "1", "--images", "2"]
    assert main([*words, "--data", str(images), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny, batch 2, cpu, float32")
    assert re.search(r"peak memory of the process so far: \d+ MiB", printed)
    lines = re.findall(r"^  (\S.*?)  +[\d.]+ ms +[\d.]+ images/s(?:  [\d.]+x plain)?$", printed, re.MULTILINE)
    assert lines == ["fast", "plain", "crops only (device)", "crops and color (workers)", "plain"]
    assert printed.count("x plain") == 3


def test_bench_writes_a_row_for_each_size_and_side(recipe_file, images, tmp_path):
    words = ["bench", recipe_file, "--batch", 2, 3, "--rounds", 1, "--images", 4, "--data", images, "--device", "cpu"]
    more = ["--photometric", "--part", "step", "workers", "--workers", 1, "--json", tmp_path / "rows.json"]
    assert main([str(word) for word in (*words, *more)]) == 0
    *steps, workers = json.loads((tmp_path / "rows.json").read_text())
    sides = [(row["batch"], row["side"]) for row in steps]
    assert sides == [(2, "fast"), (2, "fast, color too"), (3, "fast"), (3, "fast, color too")]
    assert all(row["images_per_second"] > 0 and row["precision"] == "float32" for row in steps)
    assert (workers["what"], workers["workers"]) == ("workers", 1)
    assert workers["images_per_second"] > 0


def test_an_earlier_settings_memory_is_given_back_before_the_next_ones(monkeypatch):
    class Setting:
        pass

    given_back = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append(left()))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3 * 2**20)
    earlier = Setting()
    earlier.itself, left = earlier, weakref.ref(earlier)
    del earlier
    assert held_memory(torch.device("cuda", 0)) == 3
    assert given_back == [None]


@pytest.mark.slow
def test_bench_trains_for_a_while(recipe_file, tmp_path):
    words = ["bench", recipe_file, "--part", "run", "--seconds", 2, "--device", "cpu", "--json", tmp_path / "rows.json"]
    assert main([str(word) for word in words]) == 0
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["images_per_second"] > 0
    assert 0 <= row["data_wait_share"] <= 1
    assert row["exit_code"] in (0, 75)


TRAINING = """#!{python}
import json, signal, sys, time
from pathlib import Path

out = Path(sys.argv[sys.argv.index("--out") + 1])
out.mkdir()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print(2000 * "a warning of many, ", file=sys.stderr, flush=True)
print(9000 * "a warning of many, ", file=sys.stderr, flush=True)
for step, rate in enumerate((1.0, 100.0, 10.0, 102.0)):
    row = dict(step=step, images_per_second=rate, data_wait_share=0.5, skipped_steps=0, loss=7.0)
    with open(out / "log.jsonl", "a") as log:
        log.write(json.dumps(row) + "\\n")
time.sleep(60)
"""


def test_a_training_that_warns_much_is_timed_by_its_usual_steps(tmp_path, monkeypatch):
    """One report has the second recording of a step in it, which an epoch of ImageNet would not show."""
    program = tmp_path / "training"
    program.write_text(TRAINING.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(bench_run, "START", 15)
    row = bench_run.time_run(tmp_path, tmp_path, tmp_path / "out", seconds=0, changes=[], device="cpu")
    assert (row["steps"], row["images_per_second"], row["exit_code"]) == (4, 100.0, 75)


def test_bench_names_a_key_that_no_recipe_has(recipe_file, capsys):
    assert main(["bench", str(recipe_file), "--set", "training.precison=fp32"]) == 2
    assert "Did you mean 'precision'?" in capsys.readouterr().err
