"""`python -m eval davis` as a user runs it: output, resuming, parts of the data, scoring saved masks."""

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.__main__ import main
from eval.davis.dataset import open_dataset
from eval.davis.edition import DAVIS_2017
from eval.propagation.sheet import CELL
from results.store import read_record

CHECKPOINT = "random:vit_micro/16"


def run(data, out, *more):
    return main(["davis", "--checkpoint", CHECKPOINT, "--data", str(data), "--out", str(out), *more])


def masks(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_a_run_leaves_masks_tables_pictures_and_a_record(drawn, finished):
    record = read_record(finished / "record.json")
    assert record.status == "complete"
    assert record.protocol == "davis2017/dino@1"
    assert (record.dataset.name, record.dataset.official) == ("synthetic-davis", False)
    assert record.dataset.items_expected == record.dataset.items_evaluated == 2
    assert set(record.metrics) == {"J&F", "J", "J_recall", "J_decay", "F", "F_recall", "F_decay"}
    assert record.metrics["J&F"].value == pytest.approx((record.metrics["J"].value + record.metrics["F"].value) / 2)
    assert record.metrics["J"].value > 50  # four frames of slow motion: even random features follow
    interval = record.metrics["J&F"].interval
    assert (interval.unit, interval.confidence, interval.units) == ("sequences", 0.95, 2)
    assert interval.low <= record.metrics["J&F"].value <= interval.high
    for name in record.files.values():
        assert (finished / name).exists()
    with Image.open(finished / "overlay.png") as sheet:
        assert sheet.width < 5 * CELL  # two of the four frames are scored, and each is shown once
    for sequence in ("drawn-00", "drawn-01"):
        assert set(record.per_item[sequence]) >= {"J&F", "J", "F"}
        with Image.open(finished / "overlays" / f"{sequence}.webp") as animation:
            assert animation.n_frames == 4
        for mask in sorted((drawn / "Annotations/480p" / sequence).glob("*.png")):
            with Image.open(finished / "predictions" / sequence / mask.name) as ours, Image.open(mask) as truth:
                assert (ours.mode, ours.size, ours.getpalette()) == ("P", truth.size, truth.getpalette())
                if mask.name == "00000.png":
                    np.testing.assert_array_equal(ours, truth)


@pytest.mark.parametrize(
    ("protocol", "checkpoint", "said"),
    [("dino", "random:vit_nano/14", True), ("dinov3", "pixels/28", False)],  # it rounds frames up to patches by itself
)
def test_patches_that_do_not_divide_a_frame_are_said_in_the_record(protocol, checkpoint, said, drawn, tmp_path):
    words = ["--checkpoint", checkpoint, "--data", str(drawn), "--out", str(tmp_path), "--limit", "1"]
    assert main(["davis", *words, "--protocol", protocol]) == 0
    assert any("do not divide" in warning for warning in read_record(tmp_path / "record.json").warnings) == said


def test_the_table_of_objects_averages_to_the_record(finished):
    with open(finished / "objects.csv") as file:
        rows = list(csv.DictReader(file))
    record = read_record(finished / "record.json")
    for name, metric in record.metrics.items():
        assert np.mean([float(row[name]) for row in rows]) == pytest.approx(metric.value, abs=1e-9)
    one = [float(row["J"]) for row in rows if row["sequence"] == "drawn-00"]
    assert np.mean(one) == pytest.approx(record.per_item["drawn-00"]["J"], abs=1e-9)


def test_an_interrupted_run_goes_on_at_the_next_sequence(drawn, finished, tmp_path, capsys):
    out = shutil.copytree(finished, tmp_path / "out")
    (out / "record.json").unlink()
    shutil.rmtree(out / "predictions" / "drawn-01")
    # What a run that was stopped in the middle of a sequence leaves.
    (out / "predictions" / ".drawn-01.unfinished").mkdir()
    assert run(drawn, out) == 0
    printed = capsys.readouterr().out
    assert "skipped drawn-00: its 4 masks are in" in printed
    assert "drawn-01: 4 frames" in printed
    assert masks(out / "predictions") == masks(finished / "predictions")
    assert read_record(out / "record.json").metrics == read_record(finished / "record.json").metrics


def test_a_finished_run_is_skipped_with_the_reason(drawn, finished, capsys):
    before = (finished / "record.json").stat().st_mtime_ns
    assert run(drawn, finished) == 0
    assert "skipped:" in capsys.readouterr().out
    assert (finished / "record.json").stat().st_mtime_ns == before
    assert run(drawn, finished, "--when-exists", "fail") == 2


def test_masks_of_another_model_are_not_mixed_in(drawn, finished, tmp_path, capsys):
    out = shutil.copytree(finished, tmp_path / "out")
    (out / "record.json").unlink()
    assert run(drawn, out, "--seed", "1") == 2
    said = capsys.readouterr().err
    assert "holds another run: encoder: " in said
    assert "seed: 0 -> 1" in said
    assert run(drawn, out, "--protocol", "videowalk", "--limit", "1") == 2
    assert run(drawn, out, "--seed", "1", "--when-exists", "overwrite", "--limit", "1") == 0
    assert sorted(path.name for path in (out / "predictions").iterdir()) == ["drawn-00"]


@pytest.mark.parametrize("choice", [["--videos", "drawn-01"], ["--limit", "1"]])
def test_a_part_of_the_data_gives_a_partial_record(choice, drawn, finished, tmp_path):
    out = shutil.copytree(finished, tmp_path / "out")
    (out / "record.json").unlink()
    assert run(drawn, out, *choice) == 0
    record = read_record(out / "record.json")
    assert record.status == "partial"
    assert (record.dataset.items_evaluated, record.dataset.items_expected) == (1, 2)
    sequence = "drawn-01" if choice[0] == "--videos" else "drawn-00"
    whole = read_record(finished / "record.json").per_item[sequence]
    assert {name: record.metrics[name].value for name in whole} == pytest.approx(whole)


@pytest.mark.slow  # two more processes import torch
def test_two_processes_give_the_same(drawn, finished, tmp_path):
    assert run(drawn, tmp_path / "out", "--processes", "2") == 0
    assert masks(tmp_path / "out" / "predictions") == masks(finished / "predictions")
    record = read_record(tmp_path / "out" / "record.json")
    assert record.metrics == read_record(finished / "record.json").metrics
    assert record.timing.phases["encoder"] > 0


@pytest.mark.slow  # likewise
def test_processes_end_with_the_run_that_started_them(drawn, tmp_path):
    """They went on with their clips, beside a run that had taken the place of theirs, and then waited forever."""
    data, out = shutil.copytree(drawn, tmp_path / "data"), tmp_path / "out"
    for folder in (*data.glob("JPEGImages/480p/*"), *data.glob("Annotations/480p/*")):
        for number in range(4, 400):
            shutil.copy(next(folder.glob("00001.*")), folder / f"{number:05d}{next(folder.glob('00001.*')).suffix}")
    words = ["davis", "--checkpoint", CHECKPOINT, "--data", str(data), "--out", str(out), "--processes", "2"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "eval", *words], env=environment)
    while not list(out.glob("predictions/.*")):
        assert process.poll() is None
        time.sleep(0.1)
    started = [int(line) for line in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    process.wait()
    end = time.monotonic() + 20
    while running := [pid for pid in started if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < end, running
        time.sleep(0.1)
    assert not list(out.glob("predictions/drawn*"))


def test_bfloat16_is_said_in_the_record(drawn, finished, tmp_path):
    assert run(drawn, tmp_path / "out", "--precision", "bf16", "--limit", "1") == 0
    record = read_record(tmp_path / "out" / "record.json")
    assert any("bf16" in warning for warning in record.warnings)
    whole = read_record(finished / "record.json").per_item["drawn-00"]
    assert record.metrics["J"].value == pytest.approx(whole["J"], abs=2)


def test_saved_masks_score_as_they_did(drawn, finished, tmp_path):
    arguments = ["davis", "--score-only", "--data", str(drawn), "--predictions", str(finished / "predictions")]
    assert main([*arguments, "--out", str(tmp_path / "ours")]) == 0
    ours, record = read_record(tmp_path / "ours" / "record.json"), read_record(finished / "record.json")
    assert ours.metrics == record.metrics
    assert (ours.model, ours.protocol) == (record.model, record.protocol)


def test_scoring_again_keeps_what_the_masks_cost(drawn, finished, tmp_path):
    out = shutil.copytree(finished, tmp_path / "out")
    assert main(["davis", "--score-only", "--data", str(drawn), "--out", str(out)]) == 0
    before, after = (read_record(folder / "record.json").timing for folder in (finished, out))
    assert after.phases.keys() == before.phases.keys()
    assert after.phases["encoder"] == before.phases["encoder"] < after.wall_seconds


def test_masks_of_an_outside_method(drawn, finished, tmp_path):
    shutil.copytree(finished / "predictions", tmp_path / "theirs")
    for end in ("00000.png", "00003.png"):  # first and last frame are not scored and may be absent
        (tmp_path / "theirs" / "drawn-00" / end).unlink()
    folder = ["--predictions", str(tmp_path / "theirs"), "--out", str(tmp_path / "out"), "--overlay"]
    assert main(["davis", "--score-only", "--data", str(drawn), "--name", "OSVOS", *folder]) == 0
    record = read_record(tmp_path / "out" / "record.json")
    assert record.metrics == read_record(finished / "record.json").metrics
    assert (record.model.name, record.model.method) == ("OSVOS", "outside method")
    assert record.protocol == "davis2017/semi-supervised@1"


def test_osvos_masks_of_real_data(data_dir, tmp_path):
    if not (data_dir / "davis2017" / "results" / "osvos").is_dir():
        pytest.skip(f"OSVOS masks absent under {data_dir}")
    arguments = ["--data", str(data_dir / "davis2017"), "--predictions", str(data_dir / "davis2017/results/osvos")]
    assert main(["davis", "--score-only", *arguments, "--videos", "dog", "--out", str(tmp_path)]) == 0
    metrics = read_record(tmp_path / "record.json").metrics
    assert metrics["J"].value == pytest.approx(71.07922794984851, abs=1e-9)
    assert metrics["J_recall"].value == pytest.approx(72.41379310344828, abs=1e-9)
    assert metrics["J_decay"].value == pytest.approx(14.81500201345477, abs=1e-9)


def test_only_the_whole_official_split_is_official(tmp_path, drawn):
    """A made-up copy with the official names and number of frames, of tiny pictures and of 480 pixels."""
    palette = Image.open(next((drawn / "Annotations/480p").rglob("*.png"))).getpalette()
    mask = Image.new("P", (640, 480))
    mask.putpalette(palette)
    mask.save(tmp_path / "mask.png")
    official = DAVIS_2017.official["val"]
    counts = dict.fromkeys(official.names, 66) | {"soapbox": official.frames - 29 * 66}
    for name, count in counts.items():
        folder = tmp_path / "Annotations/480p" / name
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"{number:05d}.png").hardlink_to(tmp_path / "mask.png")
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("\n".join(official.names))
    dataset = open_dataset(tmp_path, need_frames=False)
    assert dataset.official
    assert dataset.name == "davis2017-val"
    (tmp_path / "Annotations/480p/soapbox" / f"{counts['soapbox'] - 1:05d}.png").unlink()
    assert not open_dataset(tmp_path, need_frames=False).official
    (tmp_path / "ImageSets/2017/val.txt").write_text("\n".join(official.names[:2]))
    assert open_dataset(tmp_path, need_frames=False).name == "davis2017-val (2 sequences)"
