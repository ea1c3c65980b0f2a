"""`python -m eval segment` from the encoder to the record: what is written, kept, taken up again and refused."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from eval import evaluate
from eval.__main__ import main
from eval.data.synthesize import synthesize
from eval.metrics.segmentation import ImageConfusions, match_clusters, merge_clusters
from eval.segment import tokens
from eval.segment.datasets import open_segmentation
from eval.segment.predictions import Predictions
from eval.segment.protocols import PROTOCOLS, InContext
from flsl.checkpoint import load_encoder
from flsl.confusion import confusion, mean_iou
from flsl.runtime.errors import UserError
from results.compare import compare_records
from results.store import read_record

ENCODER = "random:vit_micro/32"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six pictures to learn from, four to evaluate. Not to be changed."""
    root = tmp_path_factory.mktemp("drawn") / "segment"
    synthesize("segment", root, count=6, val_count=4, height=96, width=128)
    return root


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A finished run by the command. Not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert main(["segment", "--checkpoint", ENCODER, "--data", str(data), "--out", str(out)]) == 0
    return out


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def masks_of(out):
    return {path.name: np.asarray(Image.open(path)) for path in sorted((out / "predictions").iterdir())}


def test_the_record_holds_figures_intervals_phases_and_single_images(data, finished):
    record, opened = read_record(finished / "record.json"), open_segmentation(data)
    assert (record.protocol, record.status) == ("folder/in-context-hbird@1", "complete")
    assert (record.dataset.items_evaluated, record.dataset.official) == (4, False)
    rows = (finished / "confusion.csv").read_text().splitlines()
    total = np.array([[int(cell) for cell in row.split(",")[1:]] for row in rows[1:]])
    assert record.metrics["mIoU"].value == pytest.approx(mean_iou(total))
    match = match_clusters(total, "one_to_one")
    assert record.metrics["mIoU_matched"].value == pytest.approx(mean_iou(merge_clusters(total, match)))
    # Drawn images keep the classes that all images are matched to.
    images, split, masks = ImageConfusions(len(opened.classes)), opened.split("val"), masks_of(finished)
    for number, name in enumerate(split.names):
        truth = PROTOCOLS["in-context-hbird"].truth(split.mask(number), (512, 512))
        images.add(name, merge_clusters(confusion(truth, masks[f"{name}.png"], len(opened.classes)), match))
    assert record.metrics["mIoU_matched"].interval == images.interval(mean_iou)
    for metric in record.metrics.values():
        assert metric.interval.low <= metric.value <= metric.interval.high
        assert (metric.interval.unit, metric.interval.units) == ("images", 4)
    assert set(record.per_item) == set(opened.split("val").names)
    assert {"encoding train, pass 1 of 2", "encoding val", "search", "scoring"} <= set(record.timing.phases)
    assert all((finished / name).exists() for name in record.files.values())
    assert (finished / "classes.csv").read_text().count("\n") == 1 + len(opened.classes)
    assert {mask.shape for mask in masks_of(finished).values()} == {(512, 512)}


def test_the_same_question_is_answered_and_another_refused(data, out, capsys):
    assert evaluate(ENCODER, "segment", data, out) == read_record(out / "record.json")
    assert "skipped" in capsys.readouterr().out
    with pytest.raises(UserError, match="encoder"):  # the same weights, other features
        evaluate(f"{ENCODER}?positions=size", "segment", data, out)
    for change, named in (({"seed": 1}, "seed"), ({"protocol": "in-context-hbird_102k"}, "protocol")):
        with pytest.raises(UserError, match=named):
            evaluate(ENCODER, "segment", data, out, **change)
    with pytest.raises(UserError, match="Did you mean 'in-context-hbird"):
        evaluate(ENCODER, "segment", data, out, protocol="in-context-hbrid")


def test_evaluated_images_have_the_sources_mean_and_deviation(data, finished):
    """0.255 of blue is the public code's."""
    (tokens,) = (found for found in map(np.load, finished.rglob("tokens.npy")) if len(found) == 4)
    square = Image.fromarray(open_segmentation(data).split("val").image(0)).resize(
        (512, 512), Image.Resampling.BILINEAR
    )
    mean, std = (np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.255)))
    given = torch.from_numpy((np.asarray(square, np.float32) / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        wanted = load_encoder(ENCODER).encoder.eval()(given)[0]
    np.testing.assert_allclose(tokens[0], wanted, rtol=0, atol=4e-3)  # half precision of values up to 4


def test_a_bounded_memory_has_its_tokens_spread_over_images_and_passes(data, finished, tmp_path, monkeypatch):
    """Those of an image that a larger memory takes first; one of fewer tokens than images is refused."""
    name, train = "in-context-hbird_102k", 6 * 2  # images and passes
    whole = {path.parent.name[:16]: np.load(path) for path in finished.rglob("tokens.npy")}
    monkeypatch.setitem(PROTOCOLS, name, InContext(name, memory=5 * train + train - 1))
    evaluate(ENCODER, "segment", data, tmp_path / "out", protocol=name)
    kept = {path.parent.name[:16]: np.load(path) for path in (tmp_path / "out").rglob("tokens.npy")}
    assert sorted(tokens.shape[:2] for tokens in kept.values()) == [(4, 256), (6, 5), (6, 5)]
    assert all((tokens == whole[key][:, : tokens.shape[1]]).all() for key, tokens in kept.items())
    monkeypatch.setitem(PROTOCOLS, name, InContext(name, memory=train - 1))
    with pytest.raises(UserError, match="a memory of 11 tokens holds none of 6 training images in 2 passes"):
        evaluate(ENCODER, "segment", data, tmp_path / "none", protocol=name)


def encoding_in(record):
    """The seconds of a record's phases of encoding, of all processes of its run."""
    return {phase: seconds for phase, seconds in record.timing.phases.items() if "encoding" in phase}


def test_an_interrupted_run_makes_only_what_lacks(data, out, capsys):
    before, record = masks_of(out), read_record(out / "record.json")
    lost = sorted((out / "predictions").iterdir())[1]
    lost.unlink()
    (out / "record.json").unlink()
    kept = {path: path.stat().st_mtime_ns for path in (out / "predictions").iterdir()}
    again = evaluate(ENCODER, "segment", data, out)
    assert "3 of 4 images have their predictions" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    assert all((before[name] == mask).all() for name, mask in masks_of(out).items())
    assert again.metrics == record.metrics
    assert encoding_in(again) == encoding_in(record) != {}  # no second more: the tokens are there


def test_a_prediction_that_is_asked_to_stop_goes_on(data, out, capsys, monkeypatch):
    before, arguments = masks_of(out), ["segment", "--checkpoint", ENCODER, "--data", str(data), "--out", str(out)]
    shutil.rmtree(out / "predictions")
    (out / "record.json").unlink()
    write = Predictions.write

    def stop_at_once(*what):
        write(*what)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Predictions, "write", stop_at_once)
        assert main(arguments) == 75
    assert "the same command goes on" in capsys.readouterr().err
    assert len(masks_of(out)) == 1
    assert main(arguments) == 0
    assert "1 of 4 images have their predictions" in capsys.readouterr().out
    assert all((before[name] == mask).all() for name, mask in masks_of(out).items())


def test_results_that_learned_from_other_masks_are_not_compared(data, finished, tmp_path):
    """The same images are evaluated; what is known of them comes from others."""
    other = shutil.copytree(data, tmp_path / "data")
    mask = next((other / "masks/train").iterdir())
    Image.fromarray(np.asarray(Image.open(mask))[:, ::-1].copy()).save(mask)
    mine, its = read_record(finished / "record.json"), evaluate(ENCODER, "segment", other, tmp_path / "out")
    assert mine.dataset.annotation_sha256 == its.dataset.annotation_sha256
    with pytest.raises(UserError, match="training data differ"):
        compare_records(mine, its)
    main(["segment", "--score-only", "--data", str(other), "--out", str(tmp_path / "out")])
    scored = read_record(tmp_path / "out/record.json")  # what predictions learned from does not change by scoring
    assert scored.dataset.train_sha256 == its.dataset.train_sha256


def test_another_protocol_and_folder_encode_nothing(data, finished, tmp_path):
    options = {"features": str(finished / "features"), "protocol": "in-context-hbird_102k"}
    record = evaluate(ENCODER, "segment", data, tmp_path / "out", **options)
    assert record.protocol == "folder/in-context-hbird_102k@1"
    assert not any("encoding" in phase for phase in record.timing.phases)
    # 102,400 tokens hold all of so few images: the same memory, the same masks.
    assert record.metrics == read_record(finished / "record.json").metrics
    assert compare_records(record, record).difference == 0  # the items have scores


@pytest.mark.parametrize("damage", ["cut short", "empty", "less than nothing"])
def test_a_damaged_cache_is_encoded_again_even_if_that_is_stopped(data, finished, tmp_path, monkeypatch, damage):
    """What is made anew begins with zeros, which the old count must not pass for tokens."""
    shutil.copytree(finished / "features", tmp_path / "features")
    for path in (tmp_path / "features").rglob("tokens.npy"):
        if damage == "less than nothing":
            (path.parent / "encoded.json").write_text('{"images": -3}')
        else:
            os.truncate(path, 5000 if damage == "cut short" else 0)

    def stop(*_):
        raise UserError("stopped")

    options = {"features": str(tmp_path / "features")}
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "require_finite", stop)
        with pytest.raises(UserError, match="stopped"):
            evaluate(ENCODER, "segment", data, tmp_path / "out", **options)
    assert (
        evaluate(ENCODER, "segment", data, tmp_path / "out", **options).metrics
        == read_record(finished / "record.json").metrics
    )


def test_masks_without_any_class_are_no_result(data, tmp_path, capsys):
    void = shutil.copytree(data, tmp_path / "void")
    for path in (void / "masks" / "val").iterdir():
        Image.fromarray(np.full((96, 128), 255, np.uint8)).save(path)
    with pytest.raises(UserError, match=r"no pixel of the 4 masks of val has a class"):
        evaluate("pixels/32", "segment", void, tmp_path / "out", protocol="in-context-hbird_102k")
    assert not (tmp_path / "out" / "record.json").exists()
    assert main(["data", "verify", "segment", str(void)]) == 2
    assert "no pixel of its masks has a class" in capsys.readouterr().out


def test_an_encoding_that_was_stopped_goes_on(data, finished, tmp_path, monkeypatch):
    class Stopped(Exception):
        pass

    def stop(images, *rest):
        raise Stopped

    monkeypatch.setattr(tokens, "KEEP_EVERY", 1)
    with monkeypatch.context() as patch:
        calls = []
        plain = tokens.require_finite
        patch.setattr(
            tokens, "require_finite", lambda *a: calls.append(1) or (len(calls) == 3 and stop(*a)) or plain(*a)
        )
        with pytest.raises(Stopped):
            evaluate(ENCODER, "segment", data, tmp_path / "out", batch_size=1)
    counts = [json.loads(path.read_text())["images"] for path in (tmp_path / "out/features").rglob("encoded.json")]
    assert counts == [2]
    record = evaluate(ENCODER, "segment", data, tmp_path / "out", batch_size=1)
    expected = masks_of(finished)
    assert all((mask == expected[name]).mean() > 0.999 for name, mask in masks_of(tmp_path / "out").items())
    assert record.status == "complete"


def test_limit_gives_a_partial_record_that_is_part_of_the_whole(data, finished, tmp_path, capsys):
    options = {"features": str(finished / "features")}
    record = evaluate(ENCODER, "segment", data, tmp_path / "out", limit=2, **options)
    assert (record.status, len(record.per_item)) == ("partial", 2)
    whole = evaluate(ENCODER, "segment", data, tmp_path / "out", **options)
    assert "2 of 4 images have their predictions" in capsys.readouterr().out
    assert whole.metrics == read_record(finished / "record.json").metrics


def test_saved_predictions_are_scored_again_and_those_of_others(data, finished, out, tmp_path):
    metrics = read_record(finished / "record.json").metrics
    assert evaluate(None, "segment", data, out, score_only=True).metrics == metrics
    theirs = shutil.copytree(finished / "predictions", tmp_path / "theirs")
    for name, mask in masks_of(finished).items():
        Image.fromarray(mask).save(theirs / name)  # gray levels instead of a palette
    words = ["--score-only", "--predictions", str(theirs), "--data", str(data), "--out", str(tmp_path / "new")]
    assert main(["segment", *words, "--name", "theirs"]) == 0
    record = read_record(tmp_path / "new" / "record.json")
    assert (record.model.name, record.metrics) == ("theirs", metrics)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), ["the file is missing"]),
        (lambda path: Image.new("L", (500, 512)).save(path), ["500x512", "512x512"]),
        (lambda path: Image.new("L", (512, 512), 40).save(path), ["the number 40"]),
        (lambda path: Image.new("RGB", (512, 512)).save(path), ["mode RGB"]),
    ],
    ids=["missing", "size", "number", "colors"],
)
def test_predictions_that_cannot_be_scored_are_named(damage, words, data, out):
    path = sorted((out / "predictions").iterdir())[2]
    damage(path)
    with pytest.raises(UserError) as error:
        evaluate(None, "segment", data, out, score_only=True)
    assert all(word in str(error.value) for word in (path.name, *words))


def test_the_sheet_shows_the_worst_and_the_best(finished):
    sheet = np.asarray(Image.open(finished / "sheet.png"))
    assert sheet.ndim == 3
    assert min(sheet.shape[:2]) > 400
    assert sheet.std() > 20
