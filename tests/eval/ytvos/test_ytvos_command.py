"""`python -m eval ytvos` as a user runs it: scores, or an archive alone; resuming, parts, masks from elsewhere."""

import csv
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from eval.ytvos.data import open_ytvos
from results.compare import compare_records
from results.leaderboard import build_leaderboard
from results.store import load_records, read_record


def masks(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.glob("predictions/*/*.png"))}


def test_a_run_with_ground_truth_scores(drawn, finished):
    record = read_record(finished / "record.json")
    assert (record.benchmark, record.protocol, record.status) == ("ytvos2018", "ytvos2018/dino@1", "complete")
    assert (record.dataset.name, record.dataset.official) == ("synthetic-ytvos", False)
    assert record.dataset.items_expected == record.dataset.items_evaluated == 3
    values = {name: metric.value for name, metric in record.metrics.items()}
    assert values["G"] == pytest.approx(np.mean([values[f"{m}_{s}"] for m in "JF" for s in ("seen", "unseen")]))
    assert all(metric.interval.unit == "videos" for metric in record.metrics.values())
    assert record.metrics["G"].interval.units == 3
    assert set(record.per_item) == {"drawn-00", "drawn-01", "drawn-02"}
    assert {"decoding", "encoder", "propagation", "output", "metrics"} <= set(record.timing.phases)
    assert all((finished / name).exists() for name in record.files.values())
    assert set(record.files) == {"config", "predictions", "submission", "objects", "sheet"}
    assert Image.open(finished / "sheet.png").size[0] > 500
    assert compare_records(record, record).difference == 0
    assert values["G"] in [row.value for row in build_leaderboard(load_records(finished).records).rows]


def test_masks_are_those_of_given_objects_where_they_are_given(drawn, finished):
    for video in open_ytvos(drawn).videos:
        for one in video.objects:
            with Image.open(finished / "predictions" / video.name / video.masks[one.first].name) as ours:
                truth = Image.open(video.masks[one.first])
                assert (ours.mode, ours.size, ours.getpalette()) == ("P", truth.size, truth.getpalette())
                np.testing.assert_array_equal(np.array(ours) == one.number, np.array(truth) == one.number)
            for before in video.masks[: one.first]:
                assert one.number not in np.array(Image.open(finished / "predictions" / video.name / before.name))


def test_the_table_of_objects_averages_to_the_record(drawn, finished):
    with open(finished / "objects.csv") as file:
        rows = list(csv.DictReader(file))
    record = read_record(finished / "record.json")
    assert {row["category"] for row in rows if row["seen"] == "True"} <= open_ytvos(drawn).seen
    for metric in "JF":
        for seen, said in (("seen", "True"), ("unseen", "False")):
            mean = np.mean([float(row[metric]) for row in rows if row["seen"] == said and row[metric]])
            assert mean == pytest.approx(record.metrics[f"{metric}_{seen}"].value, abs=1e-9)


def test_without_ground_truth_there_are_masks_and_an_archive_and_no_rank(bare, finished, unscored, run, capsys):
    """Later masks are no input: the predictions are those of the run that has them."""
    assert masks(unscored) == masks(finished)
    record = read_record(unscored / "record.json")
    assert (record.status, record.dataset.items_evaluated, record.metrics["G"].value) == ("partial", 0, None)
    assert record.warnings == [
        "not scored: valid has masks of objects' first frames alone, no ground truth of later ones"
    ]
    assert set(record.files) == {"config", "predictions", "submission"}
    board = build_leaderboard(load_records(unscored).records)
    assert not board.rows
    assert (unscored / "submission.zip").read_bytes() == (finished / "submission.zip").read_bytes()
    assert run(bare, unscored) == 0
    assert "G not measured" in capsys.readouterr().out


def test_the_archive_has_a_mask_of_every_listed_frame(bare, unscored):
    meta = json.loads((bare / "valid/meta.json").read_text())["videos"]
    listed = {
        f"Annotations/{name}/{frame}.png"
        for name, video in meta.items()
        for one in video["objects"].values()
        for frame in one["frames"]
    }
    with zipfile.ZipFile(unscored / "submission.zip") as archive:
        assert set(archive.namelist()) == listed
        assert len(archive.namelist()) == len(listed)
        for name in listed:
            assert archive.read(name) == (unscored / name.replace("Annotations", "predictions")).read_bytes()


def test_an_unscored_run_says_what_to_do_with_its_archive(bare, run, tmp_path, capsys):
    assert run(bare, tmp_path / "out", "--protocol", "videowalk", "--precision", "bf16") == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'out/submission.zip'}: 12 masks, one a listed frame, for the benchmark's server" in said
    assert "not scored: valid has masks of objects' first frames alone" in said
    record = read_record(tmp_path / "out/record.json")
    assert record.protocol == "ytvos2018/videowalk@2"
    assert any("bf16" in warning for warning in record.warnings)


def test_an_interrupted_run_goes_on_at_the_next_video(drawn, finished, run, tmp_path, capsys):
    out = shutil.copytree(finished, tmp_path / "out")
    (out / "record.json").unlink()
    shutil.rmtree(out / "predictions/drawn-01")
    assert run(drawn, out) == 0
    said = capsys.readouterr().out
    assert "skipped drawn-00: its 4 masks are in" in said
    assert "drawn-01: 4 frames" in said
    assert masks(out) == masks(finished)
    assert read_record(out / "record.json").metrics == read_record(finished / "record.json").metrics
    assert run(drawn, out, checkpoint="pixels/32") == 2
    assert "encoder" in capsys.readouterr().err


@pytest.mark.slow  # two more processes import torch
def test_several_processes_predict_the_same(drawn, finished, run, tmp_path):
    assert run(drawn, tmp_path / "out", "--processes", "2") == 0
    assert masks(tmp_path / "out") == masks(finished)


def test_a_part_is_partial_and_has_no_archive(drawn, finished, run, tmp_path):
    assert run(drawn, tmp_path / "out", "--limit", "1") == 0
    record = read_record(tmp_path / "out/record.json")
    assert (record.status, record.dataset.items_evaluated) == ("partial", 1)
    assert not (tmp_path / "out/submission.zip").exists()
    whole = read_record(finished / "record.json").per_item["drawn-00"]
    assert record.per_item == {"drawn-00": whole}


def test_every_frame_is_followed_and_every_fifth_scored(copy, run, tmp_path):
    """valid_all_frames: five times the frames, here each of them five times."""
    for frame in (copy / "valid/JPEGImages").glob("*/*.jpg"):
        for more in range(5):
            place = copy / "valid_all_frames/JPEGImages" / frame.parent.name / f"{int(frame.stem) + more:05d}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(frame, place)
    assert run(copy, tmp_path / "out", "--split", "valid_all_frames") == 0
    record = read_record(tmp_path / "out/record.json")
    assert record.dataset.name == "ytvos2018-valid_all_frames (3 videos)"
    assert record.status == "complete"
    assert len(masks(tmp_path / "out")) == 3 * 20
    with zipfile.ZipFile(tmp_path / "out/submission.zip") as archive:
        assert {int(name[-9:-4]) % 5 for name in archive.namelist()} == {0}
        assert len(archive.namelist()) == 12


def test_the_training_split_has_seen_categories_alone(drawn, run, tmp_path):
    assert run(drawn, tmp_path / "out", "--split", "train") == 0
    record = read_record(tmp_path / "out/record.json")
    values = {name: metric.value for name, metric in record.metrics.items()}
    assert (values["J_unseen"], values["F_unseen"]) == (None, None)
    assert values["G"] == pytest.approx((values["J_seen"] + values["F_seen"]) / 2)
    assert any("no object of a category that is unseen in training" in warning for warning in record.warnings)


def test_saved_masks_are_scored_again_without_frames(drawn, finished, run, tmp_path):
    bare = shutil.copytree(drawn, tmp_path / "bare", ignore=shutil.ignore_patterns("JPEGImages"))
    shutil.copytree(finished / "predictions", tmp_path / "theirs")
    for video in open_ytvos(drawn).videos:
        (tmp_path / "theirs" / video.name / video.masks[0].name).unlink()  # given, so not scored
    more = ["--score-only", "--predictions", str(tmp_path / "theirs"), "--name", "theirs"]
    assert run(bare, tmp_path / "scored", *more, checkpoint=None) == 0
    mine, theirs = (read_record(path / "record.json") for path in (finished, tmp_path / "scored"))
    assert theirs.metrics == mine.metrics
    assert (theirs.protocol, theirs.model.name) == ("ytvos2018/semi-supervised@1", "theirs")
    assert (tmp_path / "scored/sheet.png").is_file()
    assert not (tmp_path / "scored/submission.zip").exists()


def test_own_masks_that_are_scored_again_keep_their_archive(drawn, finished, run, tmp_path):
    out = shutil.copytree(finished, tmp_path / "out")
    assert run(drawn, out, "--score-only", checkpoint=None) == 0
    assert read_record(out / "record.json").files == read_record(finished / "record.json").files
    assert (out / "submission.zip").read_bytes() == (finished / "submission.zip").read_bytes()


def test_that_no_frame_can_be_scored_is_said_before_anything_is_predicted(copy, run, tmp_path, capsys):
    """The first video is one frame, with one object."""
    meta = json.loads((copy / "valid/meta.json").read_text())
    meta["videos"]["drawn-00"]["objects"] = {"1": {"category": "disc", "frames": ["00000"]}}
    (copy / "valid/meta.json").write_text(json.dumps(meta))
    for path in copy.glob("valid/*/drawn-00/*"):
        if path.stem != "00000":
            path.unlink()
    Image.fromarray(np.eye(96, 128, dtype=np.uint8)).save(copy / "valid/Annotations/drawn-00/00000.png")
    assert run(copy, tmp_path / "out", "--limit", "1") == 2
    assert "so there is nothing to score. Choose a larger --limit" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(copy, tmp_path / "out", "--limit", "2") == 0
    assert set(read_record(tmp_path / "out/record.json").per_item) == {"drawn-01"}


def test_masks_of_a_run_without_scores_are_scored_where_the_truth_is(drawn, unscored, finished, run, tmp_path, capsys):
    more = ["--score-only", "--predictions", str(unscored / "predictions")]
    assert run(drawn, tmp_path / "scored", *more, checkpoint=None) == 0
    record = read_record(tmp_path / "scored/record.json")
    assert (record.protocol, record.metrics) == ("ytvos2018/dino@1", read_record(finished / "record.json").metrics)
    capsys.readouterr()


def test_without_ground_truth_nothing_is_scored(bare, unscored, run, tmp_path, capsys):
    more = ["--score-only", "--predictions", str(unscored / "predictions")]
    assert run(bare, tmp_path / "scored", *more, checkpoint=None) == 2
    assert "there is nothing to score with" in capsys.readouterr().err


def test_true_masks_score_100(drawn, run, tmp_path):
    shutil.copytree(drawn / "valid/Annotations", tmp_path / "perfect")
    more = ["--score-only", "--predictions", str(tmp_path / "perfect")]
    assert run(drawn, tmp_path / "out", *more, checkpoint=None) == 0
    assert {metric.value for metric in read_record(tmp_path / "out/record.json").metrics.values()} == {100.0}


def shrink(path):
    Image.open(path).resize((64, 48)).save(path)


def add_id(path):
    mask = np.array(Image.open(path))
    mask[0, 0] = 77
    Image.fromarray(mask).save(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "the file is missing"),
        (shrink, "64x48"),
        (add_id, "holds the object 77"),
        (lambda path: Image.open(path).convert("RGB").save(path), "mode RGB"),
    ],
)
def test_bad_predictions_are_refused_by_name(damage, said, drawn, finished, run, tmp_path, capsys):
    theirs = shutil.copytree(finished / "predictions", tmp_path / "theirs")
    bad = theirs / "drawn-01/00010.png"
    damage(bad)
    assert run(drawn, tmp_path / "out", "--score-only", "--predictions", str(theirs), checkpoint=None) == 2
    error = capsys.readouterr().err
    assert str(bad) in error
    assert said in error


def test_a_misspelt_protocol_names_the_nearest(drawn, run, tmp_path, capsys):
    assert run(drawn, tmp_path / "out", "--protocol", "dinov3") == 2
    assert "'dino'" in capsys.readouterr().err
