"""`python -m eval segment` by linear heads and by overclustering: records, predictions, resuming, scoring again."""

import json
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from eval import evaluate
from eval.__main__ import main
from eval.segment import protocols
from eval.segment.predictions import Predictions
from flsl.runtime.errors import UserError

ENCODER = "random:vit_micro/16"


def run(*words):
    return main(["segment", *map(str, words)])


def read_record(out):
    return json.loads((out / "record.json").read_text())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """One training and two validation images of shapes. Not to be changed."""
    root = tmp_path_factory.mktemp("segment") / "data"
    assert main(["data", "synthesize", "segment", str(root), "--count", "1", "--val-count", "2"]) == 0
    return root


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Encoded images, shared by all runs."""
    return tmp_path_factory.mktemp("features")


def overclustering(drawn, features):
    """The words of a run, but for its --out."""
    protocol = "overclustering-leopart_k21"
    return ("--checkpoint", ENCODER, "--data", drawn, "--features", features, "--protocol", protocol)


@pytest.fixture(scope="module")
def clustered(drawn, features, tmp_path_factory):
    """The output of overclustering. Not to be changed."""
    pytest.importorskip("faiss", reason="clustering needs the extra 'segmentation'")
    out = tmp_path_factory.mktemp("clustered") / "out"
    words = overclustering(drawn, features)
    assert run(*words, "--out", out) == 0
    return out


def test_overclustering_writes_clusters_of_every_seed(clustered):
    record = read_record(clustered)
    assert record["protocol"] == "folder/overclustering-leopart_k21@1"
    assert set(record["metrics"]) == {"mIoU_K21", "mIoU_K21_spread"}
    score = record["metrics"]["mIoU_K21"]
    assert score["interval"]["low"] <= score["value"] <= score["interval"]["high"]
    assert record["metrics"]["mIoU_K21_spread"]["value"] > 0
    assert set(record["per_item"]) == {"000000", "000001"}
    assert record["dataset"]["train_sha256"] is None  # it learns from no mask
    numbers = [np.array(Image.open(clustered / f"predictions/seed{seed}/000000.png")) for seed in range(5)]
    assert {mask.shape for mask in numbers} == {(100, 100)}
    assert 5 < len(np.unique(numbers[0])) <= 21
    assert len({mask.tobytes() for mask in numbers}) == 5
    assert "mean over 5 clusterings" in record["warnings"][0]
    assert Image.open(clustered / "sheet.png").size[0] > 500


def test_clusters_of_more_images_are_not_those_of_a_part(clustered, drawn, features, tmp_path):
    """Each of the two images' tokens moves the clusters of both."""
    shutil.copytree(clustered / "predictions", tmp_path / "out/predictions")
    shutil.copy(clustered / "run.json", tmp_path / "out")  # a run that was killed before its record
    words = overclustering(drawn, features)
    for out in ("out", "fresh"):
        assert run(*words, "--out", tmp_path / out, "--limit", 1) == 0
    one, other = (read_record(tmp_path / out)["metrics"] for out in ("out", "fresh"))
    assert one == other


def test_clusters_of_other_images_are_not_scored(clustered, drawn, features, tmp_path, capsys):
    """Neither those that a smaller run has left, nor the whole ones for a part."""
    out, words = tmp_path / "out", overclustering(drawn, features)
    score = ("--score-only", "--data", drawn, "--protocol", "overclustering-leopart_k21", "--out")
    shutil.copytree(clustered / "predictions", out / "predictions")
    shutil.copy(clustered / "run.json", out)  # a run that was killed before its record
    assert run(*words, "--out", out, "--limit", 1) == 0
    one = (out / "record.json").read_bytes()
    assert run(*score, out) == 2
    assert "was made of 1 images together" in capsys.readouterr().err
    assert (out / "record.json").read_bytes() == one
    assert run(*score, tmp_path / "new", "--predictions", clustered / "predictions", "--limit", 1) == 2
    assert "was made of 2 images together" in capsys.readouterr().err


def test_an_interrupted_run_leaves_no_mixture_to_be_scored(clustered, drawn, features, tmp_path, capsys, monkeypatch):
    out, words = tmp_path / "out", overclustering(drawn, features)
    score = ("--score-only", "--data", drawn, "--protocol", "overclustering-leopart_k21", "--out", out, "--limit", 1)
    assert run(*words, "--out", out, "--limit", 1) == 0
    one, write = (out / "record.json").read_bytes(), Predictions.write

    def stop_at_once(*what):
        write(*what)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Predictions, "write", stop_at_once)
        assert run(*words, "--out", out) == 75
    assert run(*score) == 2  # one image has the first seed's clusters of two images, and the others' of one
    assert "run its command again" in capsys.readouterr().err
    assert (out / ".previous/record.json").read_bytes() == one  # nothing computed is lost before there is a new result
    assert run(*words, "--out", out) == 0
    assert read_record(out)["metrics"] == read_record(clustered)["metrics"]
    assert not (out / ".previous").exists()


def test_saved_clusters_give_the_same_score(clustered, drawn, tmp_path):
    words = ("--data", drawn, "--protocol", "overclustering-leopart_k21", "--out", tmp_path)
    assert run("--score-only", "--predictions", clustered / "predictions", *words) == 0
    assert read_record(tmp_path)["metrics"] == read_record(clustered)["metrics"]


def test_clusters_that_are_none_are_named(clustered, drawn, tmp_path, capsys):
    for seed in range(5):
        for name in ("000000", "000001"):
            path = tmp_path / f"predictions/seed{seed}/{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((100, 100), 21, np.uint16)).save(path)
    words = ("--data", drawn, "--protocol", "overclustering-leopart_k21", "--out", tmp_path / "out")
    assert run("--score-only", "--predictions", tmp_path / "predictions", *words) == 2
    assert "holds the number 21, but must hold 0 to 20" in capsys.readouterr().err


def test_linear_leopart_trains_predicts_and_shares_tokens(clustered, drawn, features, tmp_path, monkeypatch, capsys):
    short = replace(protocols.PROTOCOLS["linear-leopart"], epochs=4)
    monkeypatch.setitem(protocols.PROTOCOLS, "linear-leopart", short)
    words = ("--checkpoint", ENCODER, "--data", drawn, "--features", features, "--protocol", "linear-leopart")
    assert run(*words, "--out", tmp_path) == 0
    record = read_record(tmp_path)
    assert (record["protocol"], record["headline"]) == ("folder/linear-leopart@1", "mIoU")
    phases = record["timing"]["phases"]
    assert {"encoding of training images", "training of the head", "prediction"} <= set(phases)
    assert "encoding val" not in phases  # overclustering has encoded these squares
    prediction = np.array(Image.open(tmp_path / "predictions/000001.png"))
    assert prediction.shape == (100, 100)
    assert prediction.max() < 5
    assert (tmp_path / "head.pt").is_file()
    assert run(*words, "--out", tmp_path) == 0
    assert "skipped" in capsys.readouterr().out
    # Predictions that were lost are made by the head that is there; another seed trains another one.
    (tmp_path / "predictions/000001.png").unlink()
    (tmp_path / "record.json").unlink()
    assert run(*words, "--out", tmp_path) == 0
    assert (np.array(Image.open(tmp_path / "predictions/000001.png")) == prediction).all()
    assert "training the head" not in capsys.readouterr().err
    head = (tmp_path / "head.pt").read_bytes()
    assert run(*words, "--out", tmp_path, "--seed", 1) == 2
    assert run(*words, "--out", tmp_path, "--seed", 1, "--when-exists", "overwrite") == 0
    assert (tmp_path / "head.pt").read_bytes() != head


def test_linear_dinov3_predicts_at_the_images_own_size(drawn, features, tmp_path, monkeypatch):
    short = replace(protocols.PROTOCOLS["linear-dinov3"], iterations=2, warm_up=1)
    monkeypatch.setitem(protocols.PROTOCOLS, "linear-dinov3", short)
    options = {"protocol": "linear-dinov3", "features": str(features), "limit": 1}
    record = evaluate(ENCODER, "segment", drawn, tmp_path, **options)
    assert (record.protocol, record.status) == ("folder/linear-dinov3@1", "partial")
    assert np.array(Image.open(tmp_path / "predictions/000000.png")).shape == (192, 256)
    assert record.config["iterations"] == 2
    # Other constants are another run.
    monkeypatch.setitem(protocols.PROTOCOLS, "linear-dinov3", replace(short, iterations=3))
    with pytest.raises(UserError, match="iterations"):
        evaluate(ENCODER, "segment", drawn, tmp_path, **options)
