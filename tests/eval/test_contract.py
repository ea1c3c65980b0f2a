"""What every evaluation promises about its output folder: no old result passes as a new one, and nothing is lost."""

import json
import multiprocessing
import os
import shutil
import socket

import cv2
import pytest

from eval import evaluate
from eval.__main__ import main
from eval.data.synthesize import synthesize
from eval.davis.dataset import open_dataset
from flsl.runtime.errors import UserError
from flsl.runtime.run_folder import RunFolder
from results.store import read_record

ENCODER = "random:vit_micro/16"
SMALL_DETECTOR = (
    "training.iterations=2",
    "training.batch=2",
    "model.fpn_channels=16",
    "model.fc_channels=16",
    "model.mask_channels=16",
    "model.mask_convs=1",
    "images.train_short_sides=(96,)",
    "images.test_short_side=96",
    "images.longest_side=128",
    "testing.score_threshold=0.0",
)


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    """Two drawn clips. Not to be changed."""
    root = tmp_path_factory.mktemp("drawn") / "davis"
    synthesize("davis", root, sequences=2, train_sequences=0, frames=4, height=96, width=128)
    return root


@pytest.fixture(scope="module")
def finished(davis, tmp_path_factory):
    """A finished run over both clips. Not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    evaluate(ENCODER, "davis", davis, out)
    return out


@pytest.fixture
def out(finished, tmp_path):
    """A copy of the finished run: it is as good as the original."""
    return shutil.copytree(finished, tmp_path / "out")


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_the_same_question_is_answered_by_the_finished_record(davis, out, capsys):
    before = stamps(out)
    record = evaluate(ENCODER, "davis", davis, out)
    assert record == read_record(out / "record.json")
    assert "skipped" in capsys.readouterr().out
    assert stamps(out) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"encoder": "random:vit_micro/32"}, "encoder"),
        ({"encoder": "nowhere/encoder.safetensors"}, "does not exist"),
        ({"seed": 1}, "seed"),
        ({"protocol": "videowalk"}, "protocol"),
        ({"precision": "bf16"}, "precision"),
    ],
    ids=lambda value: str(value),
)
def test_a_finished_run_answers_no_other_question(change, named, davis, out):
    before = stamps(out)
    with pytest.raises(UserError, match=named):
        evaluate(change.pop("encoder", ENCODER), "davis", davis, out, **change)
    assert stamps(out) == before


@pytest.mark.parametrize("whole", [True, False], ids=["finished", "interrupted"])
def test_masks_are_not_reused_for_changed_frames(whole, davis, out, tmp_path):
    """Same names, same number, another picture in one file."""
    data = shutil.copytree(davis, tmp_path / "data")
    frame = sorted((data / "JPEGImages/480p/drawn-01").iterdir())[2]
    cv2.imwrite(str(frame), 255 - cv2.imread(str(frame)))
    if not whole:
        (out / "record.json").unlink()
    with pytest.raises(UserError, match=r"data\.frames"):
        evaluate(ENCODER, "davis", data, out)


def test_a_part_does_not_block_the_whole_nor_replace_it(davis, finished, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate(ENCODER, "davis", davis, out, limit=1).status == "partial"
    record = evaluate(ENCODER, "davis", davis, out)
    assert "skipped drawn-00" in capsys.readouterr().out  # its masks serve the whole run
    assert (record.status, record.metrics) == ("complete", read_record(finished / "record.json").metrics)
    with pytest.raises(UserError, match="would replace it"):
        evaluate(ENCODER, "davis", davis, out, limit=1)
    assert read_record(out / "record.json").status == "complete"


def test_scoring_a_finished_run_always_scores(davis, out, capsys):
    stamp = (out / "record.json").stat().st_mtime_ns
    assert main(["davis", "--score-only", "--data", str(davis), "--out", str(out)]) == 0
    assert "skipped" not in capsys.readouterr().out
    assert (out / "record.json").stat().st_mtime_ns != stamp
    record = evaluate(ENCODER, "davis", davis, out)  # it still answers the question that it was made for
    assert "skipped" in capsys.readouterr().out
    assert record.model.name == "random vit_micro/16"


def test_scores_on_other_annotations_do_not_answer_for_the_run(davis, out, tmp_path, capsys):
    data = shutil.copytree(davis, tmp_path / "data")
    shutil.copy(data / "Annotations/480p/drawn-00/00001.png", data / "Annotations/480p/drawn-00/00002.png")
    original = read_record(out / "record.json").metrics
    assert evaluate(None, "davis", data, out, score_only=True).metrics != original
    assert evaluate(ENCODER, "davis", davis, out).metrics == original
    assert "skipped drawn-00" in capsys.readouterr().out  # masks are kept, scores are not


def test_masks_from_elsewhere_do_not_replace_a_run(davis, finished, out, tmp_path):
    theirs = shutil.copytree(finished / "predictions", tmp_path / "theirs")
    with pytest.raises(UserError, match="holds another run"):
        evaluate(None, "davis", davis, out, score_only=True, predictions=theirs)
    record = evaluate(None, "davis", davis, tmp_path / "new", score_only=True, predictions=theirs, name="theirs")
    assert record.model.name == "theirs"


def test_masks_are_not_scored_as_another_encoders(davis, out):
    """Its name stood on them, also where the run was asked for again."""
    before = stamps(out)
    with pytest.raises(UserError, match=r"made by random vit_micro/16.*not by --checkpoint pixels/16"):
        evaluate("pixels/16", "davis", davis, out, score_only=True)
    assert stamps(out) == before


def test_scoring_again_keeps_the_seed_and_the_protocol_of_the_run(davis, tmp_path):
    record = evaluate(ENCODER, "davis", davis, tmp_path, seed=3, protocol="videowalk")
    again = evaluate(ENCODER, "davis", davis, tmp_path, score_only=True)
    assert (again.seed, again.protocol, again.metrics) == (3, record.protocol, record.metrics)


def test_masks_that_lie_in_a_runs_folder_are_not_taken_for_its_own(davis, out):
    """They were, and the run asked for again answered with their scores."""
    theirs = shutil.copytree(out / "predictions", out / "theirs")
    before = stamps(out)
    with pytest.raises(UserError, match="Score others with another --out"):
        evaluate(None, "davis", davis, out, score_only=True, predictions=theirs)
    assert stamps(out) == before


def test_masks_of_an_interrupted_run_are_scored_by_that_run(davis, out, capsys):
    metrics = read_record(out / "record.json").metrics
    (out / "record.json").unlink()
    for encoder in (None, ENCODER):  # nothing says by which protocol they were made
        with pytest.raises(UserError, match="run its command again"):
            evaluate(encoder, "davis", davis, out, score_only=True)
    assert evaluate(ENCODER, "davis", davis, out).metrics == metrics
    assert "skipped drawn-00" in capsys.readouterr().out


NO_ARGUMENTS = {
    "benchmark": None, "data": None, "out": "", "encoder": 5, "name": 5, "command": 5, "seed": 1.5, "when_exists": "skp",
    "predictions": 7, "videos": (),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_ARGUMENTS)
def test_arguments_that_are_none_are_refused_before_anything_is_computed(name, davis, tmp_path, monkeypatch):
    """Some ended in a traceback after all was computed, or counted as another value."""
    monkeypatch.chdir(tmp_path)
    arguments = {"encoder": ENCODER, "benchmark": "davis", "data": davis, "out": tmp_path / "out"}
    with pytest.raises(UserError, match=name):
        evaluate(**(arguments | {name: NO_ARGUMENTS[name]}))
    assert not any(tmp_path.iterdir())


def test_a_list_with_the_mark_of_its_coding_is_read(davis, tmp_path):
    data = shutil.copytree(davis, tmp_path / "data")
    listed = data / "ImageSets/2017/val.txt"
    listed.write_bytes(b"\xef\xbb\xbf" + listed.read_bytes().replace(b"\n", b"\r\n"))
    assert [video.name for video in open_dataset(data).videos] == ["drawn-00", "drawn-01"]


def test_results_that_do_not_say_what_they_were_made_from_are_not_taken(davis, out):
    (out / "run.json").unlink()
    with pytest.raises(UserError, match=r"no run\.json"):
        evaluate(ENCODER, "davis", davis, out)
    assert evaluate(ENCODER, "davis", davis, out, when_exists="overwrite").status == "complete"


def test_scores_of_a_run_inside_the_folder_do_not_replace_its_own(davis, out):
    """Of the same encoder by another protocol: the folder's run counted as finished with the other's record."""
    evaluate(ENCODER, "davis", davis, out / "walk", protocol="videowalk")
    before = (out / "record.json").read_bytes()
    with pytest.raises(UserError, match="holds another run"):
        evaluate(None, "davis", davis, out, score_only=True, predictions=out / "walk" / "predictions")
    assert (out / "record.json").read_bytes() == before


def test_overwrite_starts_over_and_keeps_the_old_result_until_there_is_a_new_one(davis, out, tmp_path):
    data = shutil.copytree(davis, tmp_path / "data")
    broken = sorted((data / "JPEGImages/480p/drawn-01").iterdir())[2]
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) * 3 // 5])
    with pytest.raises(UserError):
        evaluate(ENCODER, "davis", data, out, when_exists="overwrite")
    assert (out / ".previous/record.json").is_file()
    assert evaluate(ENCODER, "davis", davis, out, when_exists="overwrite").status == "complete"
    assert not (out / ".previous").exists()


def hold(out, ready, release):
    with RunFolder(out, {}, results=["record.json"]):
        ready.set()
        release.wait(60)


def test_a_folder_in_use_is_refused_naming_the_owner(davis, tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    owner = context.Process(target=hold, args=(tmp_path, ready, release))
    owner.start()
    assert ready.wait(60)
    with pytest.raises(UserError, match=f"in use by process {owner.pid} on {socket.gethostname()}"):
        evaluate(ENCODER, "davis", davis, tmp_path)
    os.kill(owner.pid, 9)  # a killed owner holds nothing
    owner.join()
    assert evaluate(ENCODER, "davis", davis, tmp_path, limit=1).status == "partial"


def test_leftovers_of_killed_writers_are_removed(davis, tmp_path):
    left = tmp_path / ".record.json.tmp-abcd1234.json"
    left.write_text("half a rec")
    mine = tmp_path / ".notes"
    mine.write_text("not ours")
    evaluate(ENCODER, "davis", davis, tmp_path, limit=1)
    assert not left.exists()
    assert mine.exists()


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """Ten drawn pictures. Not to be changed."""
    root = tmp_path_factory.mktemp("drawn") / "coco"
    synthesize("coco", root, count=6, val_count=4, height=96, width=128)
    return root


def detect(data, out, *overrides, **options):
    recipe = {"config": "configs/coco/mask-rcnn_smoke.py", "overrides": (*SMALL_DETECTOR, *overrides)}
    return evaluate(ENCODER, "coco", data, out, **recipe, **options)


@pytest.fixture(scope="module")
def detected(coco, tmp_path_factory):
    """A finished detector. Not to be changed."""
    out = tmp_path_factory.mktemp("detected") / "out"
    detect(coco, out)
    return out


def test_a_detector_answers_no_other_data_or_recipe(coco, detected, tmp_path):
    """The annotation file keeps its name, the images their names and number."""
    out = shutil.copytree(detected, tmp_path / "out")
    config = (out / "config.py").read_text()
    data = shutil.copytree(coco, tmp_path / "data")
    path = data / "annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    document["annotations"][0]["bbox"][2] *= 0.5
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"data\.train\.annotations"):
        detect(data, out)
    with pytest.raises(UserError, match=r"recipe\.training\.learning_rate"):
        detect(coco, out, "training.learning_rate=0.5")
    assert (out / "config.py").read_text() == config
    for name in ("detector.safetensors", "record.json"):  # what is unfinished is protected as well
        (out / name).unlink()
    with pytest.raises(UserError, match=r"data\.train\.annotations"):
        detect(data, out)


def test_runtime_keys_change_no_identity(coco, detected, capsys):
    detect(coco, detected, "runtime.workers=1", "runtime.checkpoint_every=7", metric_backend="pycocotools")
    assert "skipped" in capsys.readouterr().out


def test_an_interrupted_detector_is_overwritten_at_the_first_word(coco, detected, tmp_path):
    out = shutil.copytree(detected, tmp_path / "out")
    for name in ("detector.safetensors", "record.json"):
        (out / name).unlink()
    record = detect(coco, out, "training.learning_rate=0.002", when_exists="overwrite")
    assert record.config["training"]["learning_rate"] == 0.002


def test_scoring_that_was_interrupted_needs_no_second_detection(coco, detected, tmp_path, capsys):
    out = shutil.copytree(detected, tmp_path / "out")
    (out / "record.json").unlink()
    before = (out / "detections.json").stat().st_mtime_ns
    assert detect(coco, out).metrics == read_record(detected / "record.json").metrics
    assert (out / "detections.json").stat().st_mtime_ns == before
    assert "training is finished already" in capsys.readouterr().out


def test_a_detector_of_another_encoder_is_not_tested(coco, detected, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(detected / "detector.safetensors", out)
    recipe = {"config": "configs/coco/mask-rcnn_smoke.py", "overrides": SMALL_DETECTOR, "test_only": True}
    with pytest.raises(UserError, match="another encoder"):
        evaluate(ENCODER, "coco", coco, out, seed=5, **recipe)
    assert evaluate(ENCODER, "coco", coco, out, **recipe).metrics == read_record(detected / "record.json").metrics


def test_knn_answers_no_other_data(coco, tmp_path):
    data, out = shutil.copytree(coco, tmp_path / "data"), tmp_path / "out"
    evaluate(ENCODER, "knn", data, out)
    image = sorted((data / "train2017").iterdir())[0]
    cv2.imwrite(str(image), 255 - cv2.imread(str(image)))
    with pytest.raises(UserError, match=r"data\.images"):
        evaluate(ENCODER, "knn", data, out)


def test_an_encoder_in_memory_is_evaluated(davis, coco, tmp_path):
    from flsl import load_encoder

    loaded = load_encoder(ENCODER)
    assert evaluate(loaded, "davis", davis, tmp_path / "a", limit=1).model.fingerprint == loaded.fingerprint
    assert evaluate(loaded.encoder, "davis", davis, tmp_path / "b", limit=1).model.fingerprint == loaded.fingerprint


def test_an_encoder_in_memory_that_is_trained_on_is_a_file_of_the_run(coco, davis, detected, tmp_path):
    """The detector's configuration names it; no record did, starting over left it, and another's file was replaced by it."""
    from flsl import load_encoder

    loaded, out = load_encoder(ENCODER), tmp_path / "out"
    recipe = {"config": "configs/coco/mask-rcnn_smoke.py", "overrides": SMALL_DETECTOR}
    record = evaluate(loaded, "coco", coco, out, **recipe)
    assert record.model.fingerprint == loaded.fingerprint == load_encoder(out / record.files["encoder"]).fingerprint
    for encoder in (loaded, ENCODER):  # the same weights by another name
        again = evaluate(encoder, "coco", coco, out, **recipe, test_only=True, when_exists="overwrite")
        assert again.files["encoder"] == record.files["encoder"]
        assert (out / record.files["encoder"]).is_file()
    evaluate(ENCODER, "davis", davis, out, limit=1, when_exists="overwrite")
    assert not (out / record.files["encoder"]).exists()
    (out / "run.json").unlink()
    (out / record.files["encoder"]).write_text("mine")
    with pytest.raises(UserError, match=r"holds .*encoder\.safetensors.*, but no run\.json"):
        evaluate(loaded, "coco", coco, out, **recipe)
    assert "encoder" not in read_record(detected / "record.json").files


def test_starting_over_leaves_nothing_of_another_benchmarks_run(davis, out, tmp_path):
    """Tables and predictions of the earlier run stood beside the new record as if they were of it."""
    mine = {"notes.txt": "not made by a run", "mine/predictions.txt": "nor this"}
    for name, text in mine.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(text)
    synthesize("images", tmp_path / "images", count=8, classes=2, height=32, width=32)
    evaluate(ENCODER, "davis", davis, out, overlay=True, when_exists="overwrite")
    assert (out / "predictions" / "drawn-00").is_dir()
    assert {"objects.csv", "overlays"} <= {path.name for path in out.iterdir()}
    prepared = tmp_path / "split"
    assert (
        main(["data", "prepare", "images", str(tmp_path / "images"), "--out", str(prepared), "--val-every", "2"]) == 0
    )
    for when_exists in ("overwrite", "skip"):
        record = evaluate(ENCODER, "knn", prepared, out, when_exists=when_exists)
        made = {"record.json", "run.json", ".lock", *record.files.values()}
        assert {path.name for path in out.iterdir()} == made | {"notes.txt", "mine"}
    assert all((out / name).read_text() == text for name, text in mine.items())


@pytest.mark.parametrize("name", ["../other", "/tmp/other", "."])
def test_a_run_state_that_leads_elsewhere_moves_nothing(name, davis, out, tmp_path, capsys):
    """It says which files starting over puts aside, and anybody may have written it."""
    (tmp_path / "other").mkdir()
    state = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(state | {"outputs": [*state["outputs"], name]}))
    with pytest.raises(UserError, match="cannot be the name of a run's output"):
        evaluate(ENCODER, "davis", davis, out)
    (out / "mine.txt").write_text("mine")
    assert evaluate(ENCODER, "davis", davis, out, when_exists="overwrite").status == "complete"
    assert (tmp_path / "other").is_dir()
    assert (out / "mine.txt").read_text() == "mine"
