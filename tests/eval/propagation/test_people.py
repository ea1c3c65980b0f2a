"""`python -m eval vip` and `jhmdb`: what both read, write, keep, take up again and refuse."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from eval.__main__ import main
from eval.data.synthesize import synthesize
from eval.propagation.sheet import CELL
from eval.run import LOST
from results.compare import compare_records
from results.leaderboard import build_leaderboard
from results.store import load_records, read_record

ENCODER = "random:vit_micro/32"  # large patches: few tokens in frames that a protocol enlarges
SIZES = {"frames": 3, "height": 96, "width": 128}
# Command -> what its drawn data are made of, the metric that ranks, and what one video's predictions are.
BENCHMARKS = {"vip": ("videos", "mIoU", "*.png"), "jhmdb": ("clips", "PCK@0.1", "poses.json")}
FRAMES = {"vip": "Images", "jhmdb": "Rename_Images"}


def draw(command, root, count, **more):
    """Draw so many videos of three frames to evaluate, and none to train on."""
    number = {"videos": count} if command == "vip" else {"clips": count, "train_clips": 0}
    synthesize(command, root, **number, **SIZES, **more)


@pytest.fixture(scope="module", params=BENCHMARKS)
def command(request):
    return request.param


@pytest.fixture(scope="module")
def data(command, tmp_path_factory):
    """Three drawn videos of three frames. Not to be changed."""
    root = tmp_path_factory.mktemp("drawn") / command
    draw(command, root, 3)
    return root


@pytest.fixture(scope="module")
def finished(command, data, tmp_path_factory):
    """A finished run. Not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert main([command, "--checkpoint", ENCODER, "--data", str(data), "--out", str(out)]) == 0
    return out


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def run(command, data, out, *more, checkpoint=ENCODER):
    named = ["--checkpoint", checkpoint] if checkpoint else []
    return main([command, *named, "--data", str(data), "--out", str(out), *more])


def predictions(out, command):
    return {
        path.relative_to(out): path.read_bytes()
        for path in sorted(out.glob(f"predictions/**/{BENCHMARKS[command][2]}"))
    }


def test_a_run_leaves_predictions_tables_a_picture_and_a_record(command, data, finished):
    record = read_record(finished / "record.json")
    item, metric, _ = BENCHMARKS[command]
    assert (record.benchmark, record.protocol, record.status) == (command, f"{command}/cropmae@1", "complete")
    assert (record.dataset.name, record.dataset.official, record.dataset.items_evaluated) == (
        f"synthetic-{command}",
        False,
        3,
    )
    assert 0 < record.metrics[metric].value < 100
    assert record.metrics[metric].interval is None or record.metrics[metric].interval.unit == item
    assert len(record.per_item) == 3
    assert {"decoding", "encoder", "propagation", "output", "metrics"} <= set(record.timing.phases)
    assert all((finished / name).exists() for name in record.files.values())
    sheet = Image.open(finished / "sheet.png")
    assert 3 * CELL < sheet.width < 4 * CELL  # each of three frames once
    assert 6 * CELL * 3 / 4 < sheet.height < 6 * CELL  # three videos, the prediction above the truth
    assert len(predictions(finished, command)) == (9 if command == "vip" else 3)
    rows = build_leaderboard(load_records(finished).records).rows
    assert record.metrics[metric].value in [row.value for row in rows]


def test_a_finished_run_is_kept_and_an_interrupted_one_goes_on(command, data, out, capsys):
    before = predictions(out, command)
    assert run(command, data, out) == 0
    assert "already" in capsys.readouterr().out or predictions(out, command) == before
    finished_record = read_record(out / "record.json")
    (out / "record.json").unlink()
    lost = sorted(before)[-1]
    (out / lost).unlink()
    assert run(command, data, out) == 0
    assert capsys.readouterr().out.count("skipped ") == 2
    assert predictions(out, command) == before
    record = read_record(out / "record.json")
    assert record.timing.wall_seconds > sum(finished_record.timing.phases.values())  # of both processes
    assert LOST not in record.warnings
    assert run(command, data, out, checkpoint="pixels/32") == 2
    assert "encoder" in capsys.readouterr().err


def test_another_precision_and_other_frames_are_another_run(command, data, out, tmp_path, capsys):
    assert run(command, data, out, "--precision", "bf16") == 2
    assert "precision: fp32 -> bf16" in capsys.readouterr().err
    other = shutil.copytree(data, tmp_path / "data")
    frame = min((other / FRAMES[command]).rglob("0*1.*"))
    frame.write_bytes(frame.read_bytes()[:-1] + b"\0")  # as long as it was
    assert run(command, other, out) == 2
    assert "holds another run: data.frames" in capsys.readouterr().err


def test_several_processes_predict_the_same(command, data, finished, tmp_path, capsys):
    assert run(command, data, tmp_path / "out", "--processes", "2") == 0
    assert predictions(tmp_path / "out", command) == predictions(finished, command)
    assert capsys.readouterr().out.count(": 3 frames, ") == 3
    phases = (read_record(out / "record.json").timing.phases for out in (tmp_path / "out", finished))
    assert next(phases).keys() == next(phases).keys()


def die(*_, **__):
    """A task whose process the system ends."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_ended_from_outside_is_said(monkeypatch, tmp_path, capsys):
    draw("jhmdb", tmp_path / "data", 2)
    monkeypatch.setattr("eval.jhmdb.run.follow_clip", die)
    assert run("jhmdb", tmp_path / "data", tmp_path / "out", "--processes", str(2**50)) == 2
    assert "was ended from outside; most often the system did so for want of memory. Try --processes 1" in (
        capsys.readouterr().err
    )


def test_a_part_is_partial_and_each_protocol_its_own(command, data, tmp_path, capsys):
    assert run(command, data, tmp_path / "part", "--limit", "1") == 0
    assert read_record(tmp_path / "part/record.json").status == "partial"
    assert run(command, data, tmp_path / "part") == 0
    assert read_record(tmp_path / "part/record.json").status == "complete"
    assert run(command, data, tmp_path / "walk", "--protocol", "videowalk", "--precision", "bf16") == 0
    record = read_record(tmp_path / "walk/record.json")
    assert record.protocol == f"{command}/videowalk@1"
    assert any("bf16" in warning for warning in record.warnings)
    capsys.readouterr()
    assert run(command, data, tmp_path / "walk", "--protocol", "cropmea") == 2
    assert "'cropmae'" in capsys.readouterr().err


def test_saved_predictions_are_scored_again_without_frames(command, data, finished, tmp_path, capsys):
    bare = shutil.copytree(data, tmp_path / "bare", ignore=shutil.ignore_patterns(FRAMES[command]))
    (tmp_path / "theirs").mkdir()
    shutil.copytree(finished / "predictions", tmp_path / "theirs/predictions")
    more = ["--score-only", "--predictions", str(tmp_path / "theirs/predictions"), "--name", "theirs"]
    assert run(command, bare, tmp_path / "scored", *more, checkpoint=None) == 0
    mine, theirs = (read_record(path / "record.json") for path in (finished, tmp_path / "scored"))
    assert {name: metric.value for name, metric in theirs.metrics.items()} == {
        name: metric.value for name, metric in mine.metrics.items()
    }
    assert theirs.protocol in (f"{command}/parts@1", f"{command}/poses@1")
    assert theirs.per_item == mine.per_item
    assert all((tmp_path / "scored" / name).is_file() for name in theirs.files.values())
    assert "sheet" in theirs.files
    compared = compare_records(mine, mine)
    assert compared.difference == 0


def test_predictions_are_by_the_protocol_that_their_record_or_the_user_names(command, data, finished, tmp_path):
    mine = read_record(finished / "record.json")
    theirs = shutil.copytree(finished / "predictions", tmp_path / "theirs")
    given = {"beside": (finished / "predictions", mine.protocol), "named": (theirs, f"{command}/videowalk@1")}
    for name, (folder, protocol) in given.items():
        more = ["--score-only", "--predictions", str(folder), "--protocol", "videowalk"]
        assert run(command, data, tmp_path / name, *more) == 0
        record = read_record(tmp_path / name / "record.json")
        assert (record.protocol, record.per_item) == (protocol, mine.per_item)
        assert (record.config == mine.config) == (name == "beside")


def test_a_missing_prediction_is_named(command, data, finished, tmp_path, capsys):
    shutil.copytree(finished / "predictions", tmp_path / "theirs/predictions")
    lost = tmp_path / "theirs" / sorted(predictions(finished, command))[0]
    lost.unlink()
    more = ["--score-only", "--predictions", str(tmp_path / "theirs/predictions")]
    assert run(command, data, tmp_path / "out", *more, checkpoint=None) == 2
    assert str(lost) in capsys.readouterr().err


def test_predictions_of_another_benchmark_are_refused(command, data, out, capsys, tmp_path):
    """Their record lies beside them, and would lend its protocol."""
    record = json.loads((out / "record.json").read_text())
    (other,) = set(BENCHMARKS) - {command}
    record |= {"benchmark": other, "protocol": f"{other}/cropmae@1", "headline": BENCHMARKS[other][1]}
    value = dict(value=1.0, unit="percent", higher_is_better=True)
    (out / "record.json").write_text(json.dumps(record | {"metrics": {record["headline"]: value}, "per_item": {}}))
    more = ["--score-only", "--predictions", str(out / "predictions")]
    assert run(command, data, tmp_path / "scored", *more, checkpoint=None) == 2
    assert f"was made for {other}" in capsys.readouterr().err


def test_a_record_beside_predictions_has_a_seed_that_a_run_can_have(command, data, out, capsys, tmp_path):
    record = json.loads((out / "record.json").read_text())
    (out / "record.json").write_text(json.dumps(record | {"seed": -5}))
    more = ["--score-only", "--predictions", str(out / "predictions")]
    assert run(command, data, tmp_path / "scored", *more, checkpoint=None) == 2
    assert f"{out / 'record.json'} is no record of a run here: --seed is -5" in capsys.readouterr().err


def test_names_in_a_record_and_of_data_are_shown_on_one_line(command, data, out, capsys, tmp_path):
    bare = shutil.copytree(data, tmp_path / "data")
    marker = json.loads((bare / "dataset.json").read_text())
    (bare / "dataset.json").write_text(json.dumps(marker | {"name": "b\x1b[2J"}))
    more = ["--score-only", "--predictions", str(out / "predictions")]
    assert run(command, bare, tmp_path / "scored", *more, checkpoint=None) == 0
    assert "b\\x1b[2J: " in capsys.readouterr().out
    record = json.loads((out / "record.json").read_text())
    (out / "record.json").write_text(json.dumps(record | {"model": record["model"] | {"name": "a\x1b[2J"}}))
    assert run(command, data, out) == 0
    assert "result of a\\x1b[2J on" in capsys.readouterr().out


def test_patches_larger_than_frames_are_refused(command, data, tmp_path, capsys):
    assert run(command, data, tmp_path / "out", checkpoint="pixels/900") == 2
    assert "patches of 900 are larger than frames of 'cropmae'" in capsys.readouterr().err


def test_a_person_may_be_missing_at_first(tmp_path):
    """Background is one of the parts: where it is alone, it is followed. Void is background to begin with."""
    draw("vip", tmp_path / "data", 2, void=True)
    first = sorted((tmp_path / "data/Annotations/Category_ids/drawn-00").iterdir())[0]
    Image.fromarray(np.zeros_like(np.array(Image.open(first)))).save(first)
    for protocol in ("cropmae", "videowalk"):
        assert run("vip", tmp_path / "data", tmp_path / protocol, "--protocol", protocol) == 0
        assert not any(np.any(Image.open(mask)) for mask in (tmp_path / protocol / "predictions/drawn-00").iterdir())


def test_videos_and_clips_without_anything_to_score(command, data, finished, tmp_path, capsys):
    """They leave the others' score alone, and its interval defined."""
    empty = {"vip": "Annotations/Category_ids/*/*.png", "jhmdb": "*/*/poses.json"}[command]
    bare = shutil.copytree(data, tmp_path / "data")
    theirs = shutil.copytree(finished / "predictions", tmp_path / "theirs/predictions")
    files = sorted((bare if command == "vip" else theirs).glob(empty))
    per_video, more = len(files) // 3, ["--score-only", "--predictions", str(theirs)]
    for number, file in enumerate(files):
        if number == 2 * per_video:
            assert run(command, bare, tmp_path / "scored", *more, checkpoint=None) == 0
            record = read_record(tmp_path / "scored/record.json")
            assert (len(record.per_item), record.dataset.items_evaluated) == (1, 3)
            assert record.metrics[record.headline].interval.units == 1
        if command == "vip":
            Image.fromarray(np.full_like(np.array(Image.open(file)), 255)).save(file)
        else:
            file.write_text(json.dumps({"poses": [[None] * 15] * 3}))
    assert run(command, bare, tmp_path / "none", *more, checkpoint=None) == 2
    assert "nothing to score" in capsys.readouterr().err


def test_pictures_of_long_frames_and_far_joints_stay_small(tmp_path):
    from eval.data.synthesize.jhmdb import positions_file
    from eval.jhmdb.data import open_jhmdb, positions_path

    draw("jhmdb", tmp_path / "data", 3)
    wide, tall, _ = open_jhmdb(tmp_path / "data").videos
    for clip, size in ((wide, (2000, 2)), (tall, (2, 2000))):
        for frame in clip.frames:
            Image.open(frame).resize(size).save(frame)
    assert run("jhmdb", tmp_path / "data", tmp_path / "out") == 0
    positions_path(tmp_path / "data", wide.name).write_bytes(positions_file(wide.joints + 90_000))
    shutil.rmtree(tmp_path / "data/Rename_Images")
    more = ["--score-only", "--predictions", str(tmp_path / "out/predictions")]
    assert run("jhmdb", tmp_path / "data", tmp_path / "scored", *more, checkpoint=None) == 0
    assert max(Image.open(tmp_path / "scored/sheet.png").size) < 4000


def test_true_masks_and_poses_score_100(command, data, tmp_path):
    from eval.jhmdb.data import open_jhmdb
    from eval.jhmdb.poses import write_poses

    perfect = tmp_path / "perfect"
    if command == "vip":
        shutil.copytree(data / "Annotations/Category_ids", perfect)
    else:
        for clip in open_jhmdb(data).videos:
            longer = np.concatenate([clip.joints, clip.joints[:1]])  # of frames that are not annotated
            write_poses(perfect / clip.name / "poses.json", longer)
    more = ["--score-only", "--predictions", str(perfect)]
    assert run(command, data, tmp_path / "out", *more, checkpoint=None) == 0
    values = {name: metric.value for name, metric in read_record(tmp_path / "out/record.json").metrics.items()}
    assert set(values.values()) == {100.0}


def damaged_masks(folder):
    path = sorted(folder.rglob("*.png"))[0]
    size = Image.open(path).size
    yield path, Image.new("L", (size[0] // 2, size[1] // 2)), "pixels"
    yield path, Image.fromarray(np.full(size[::-1], 20, np.uint8)), "value 20"
    yield path, Image.new("RGB", size), "mode RGB"


def test_bad_masks_are_refused_by_name(tmp_path, capsys):
    draw("vip", tmp_path / "data", 1)
    for path, picture, said in damaged_masks(tmp_path / "data/Annotations/Category_ids"):
        shutil.rmtree(tmp_path / "masks", ignore_errors=True)
        shutil.copytree(tmp_path / "data/Annotations/Category_ids", tmp_path / "masks")
        bad = tmp_path / "masks" / path.relative_to(tmp_path / "data/Annotations/Category_ids")
        picture.save(bad)
        more = ["--score-only", "--predictions", str(tmp_path / "masks"), "--when-exists", "overwrite"]
        assert run("vip", tmp_path / "data", tmp_path / "out", *more, checkpoint=None) == 2
        error = capsys.readouterr().err
        assert str(bad) in error
        assert said in error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no JSON"),
        ("[]", "does not hold the poses"),
        (json.dumps({"poses": [[None] * 15] * 2}), "does not hold the poses"),
        (json.dumps({"poses": [[None] * 14] * 3}), "frame 1, has not 15 joints"),
        (json.dumps({"poses": [[None] * 14 + [[1, "a"]]] * 3}), "left ankle is"),
        (json.dumps({"poses": [[None] * 14 + [[1, float("nan")]]] * 3}), "left ankle is"),
        (json.dumps({"poses": [[None] * 15] * 3}), "no joint of any clip is followed"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_bad_poses_are_refused_by_name(content, said, tmp_path, capsys):
    draw("jhmdb", tmp_path / "data", 1)
    (clip,) = (tmp_path / "data/Rename_Images").glob("*/*")
    folder = tmp_path / "poses" / clip.parent.name / clip.name
    folder.mkdir(parents=True)
    (folder / "poses.json").write_text(content)
    more = ["--score-only", "--predictions", str(tmp_path / "poses")]
    assert run("jhmdb", tmp_path / "data", tmp_path / "out", *more, checkpoint=None) == 2
    error = capsys.readouterr().err
    assert "poses" in error
    assert said in error
