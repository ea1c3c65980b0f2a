"""`python -m eval knn` on all data layouts, and its errors."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from eval.__main__ import COMMANDS, main
from eval.knn.data import read_box_data
from eval.knn.features import extract
from eval.knn.protocol import BBOX, IMAGE
from flsl.checkpoint import load_encoder
from flsl.runtime.errors import UserError
from pretrain.dataset import find_images
from results.benchmarks import BENCHMARKS
from results.compare import compare_records
from results.leaderboard import build_leaderboard
from results.store import load_records, read_record

ENCODER = "random:vit_micro/16"
COLORS = {"n01440764": (250, 30, 30), "n01443537": (30, 250, 30), "n02123045": (30, 30, 250)}


def run_knn(*words):
    return main(["knn", *map(str, words)])


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """Twelve training and six validation images in ImageNet's layout; a class is the color inside the box."""
    root = tmp_path_factory.mktemp("imagenet")
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for name, color in COLORS.items():
            for index in range(count):
                width, height = int(rng.integers(150, 400)), int(rng.integers(150, 400))
                pixels = rng.integers(0, 255, (height, width, 3), np.uint8)
                left, top, right, bottom = (round(s) for s in (0.3 * width, 0.3 * height, 0.7 * width, 0.7 * height))
                pixels[top:bottom, left:right] = color
                stem = f"{name}_{split}_{index}"
                folder = root / split / name if split == "train" else root / split
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / f"{stem}.JPEG", quality=95)
                xml = root / "Annotations" / "CLS-LOC" / folder.relative_to(root) / f"{stem}.xml"
                xml.parent.mkdir(parents=True, exist_ok=True)
                small = f"<object><name>other</name>{_box(0, 0, 3, 3)}</object>"
                whole = f"<object><name>{name}</name>{_box(left, top, right, bottom)}</object>"
                xml.write_text(f"<annotation><size><width>1</width></size>{small}{whole}</annotation>")
    return root


def _box(left, top, right, bottom):
    return f"<bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>"


def test_imagenet_layout(imagenet, tmp_path, capsys):
    assert run_knn("--checkpoint", ENCODER, "--data", imagenet, "--out", tmp_path) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["protocol"] == "knn/bbox@1"
    assert record["headline"] == "vote_k20"
    assert record["metrics"]["vote_k20"]["value"] == 100  # even random features know a color
    assert record["metrics"]["vote_k20"]["interval"]["unit"] == "images"
    assert record["dataset"]["name"] == "imagenet-subset"
    assert record["dataset"]["official"] is False
    assert record["dataset"]["items_evaluated"] == 6
    assert any("only 108 tokens" in text for text in record["warnings"])
    saved = np.load(tmp_path / "predictions.npz")
    assert saved["token_prediction"].shape == (6, 9, 4)
    assert [saved["classes"][i] for i in saved["truth"]] == [
        name.split("_")[0].split("/")[1] for name in saved["image"]
    ]
    capsys.readouterr()
    assert run_knn("--checkpoint", ENCODER, "--data", imagenet, "--out", tmp_path) == 0
    assert "skipped" in capsys.readouterr().out


def test_features_have_length_1_and_are_numbers(imagenet):
    encoder, val = load_encoder(ENCODER).encoder, read_box_data(imagenet).val
    given = {"examples": val, "protocol": BBOX, "device": torch.device("cpu"), "batch_size": 4, "what": "val"}
    lengths = extract(encoder, **given).features.norm(dim=2)
    torch.testing.assert_close(lengths, torch.ones(len(val), 9))
    encoder.blocks[0].mlp.fc2.bias.data.fill_(3e38)  # a number, whose sums are none
    with pytest.raises(UserError, match=f"{val[0].path} and what follows: the encoder's features are NaN"):
        extract(encoder, **given)


def test_the_protocol_says_which_number_of_neighbors_ranks(imagenet, tmp_path, monkeypatch):
    """It is hashed with the constants, so that a record of another is of another recipe."""
    assert all(BENCHMARKS["knn"].headline_of(protocol.name) == protocol.headline for protocol in (BBOX, IMAGE))
    monkeypatch.setattr("eval.knn.data.BBOX", dataclasses.replace(BBOX, headline_neighbors=100))
    assert run_knn("--checkpoint", ENCODER, "--data", imagenet, "--out", tmp_path) == 0
    record = read_record(tmp_path / "record.json")
    scores = [score for scores in record.per_item.values() for score in scores.items()]
    assert record.headline == "vote_k100"
    assert {name for name, _ in scores} == {"vote_k100"}
    assert np.mean([score for _, score in scores]) == pytest.approx(record.metrics["vote_k100"].value)


def test_limit_gives_a_partial_record(imagenet, tmp_path):
    assert run_knn("--checkpoint", ENCODER, "--data", imagenet, "--out", tmp_path, "--limit", 2, "--batch-size", 1) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["status"] == "partial"
    assert (record["dataset"]["items_evaluated"], record["dataset"]["items_expected"]) == (2, 6)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB")])
def test_running_out_of_memory_says_what_needs_less(error, imagenet, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr("eval.knn.run.extract", fail)
    words = ["--checkpoint", ENCODER, "--data", imagenet, "--out", tmp_path, "--device", "cpu"]
    assert run_knn(*words) == 2
    said = capsys.readouterr().err
    assert "error: out of memory on cpu (" in said
    assert "--batch-size 32" in said
    assert not (tmp_path / "record.json").exists()


def test_class_folders_are_whole_pictures(tmp_path, capsys):
    """Without boxes the middle crop is the box; a part of the training pictures can be held out to be classified."""
    rng = np.random.default_rng(0)
    for name, color in COLORS.items():
        for index in range(6):
            pixels = rng.integers(0, 60, (70, 90, 3), np.uint8) + np.array(color, np.uint8) // 2
            path = tmp_path / "pictures" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    words = ["data", "prepare", "images", tmp_path / "pictures", "--out", tmp_path / "data", "--val-every", 3]
    assert main(list(map(str, words))) == 0
    assert "12 pictures in train/, 6 in val/" in capsys.readouterr().out
    held_out = {path.name for path in (tmp_path / "data" / "val").rglob("*.png")}
    assert held_out == {"2.png", "5.png"}
    assert {path.name for path in find_images(tmp_path / "data")} == {"0.png", "1.png", "3.png", "4.png"}
    assert run_knn("--checkpoint", ENCODER, "--data", tmp_path / "data", "--out", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert (record["protocol"], record["dataset"]["name"]) == ("knn/image@1", "class-folders")
    assert record["dataset"]["items_evaluated"] == 6
    assert record["metrics"]["vote_k20"]["value"] == 100
    # The same pictures in other classes are another question.
    (tmp_path / "data" / "train" / "n02123045").rename(tmp_path / "data" / "train" / "other")
    assert run_knn("--checkpoint", ENCODER, "--data", tmp_path / "data", "--out", tmp_path / "out") == 2
    assert "learned from" in capsys.readouterr().err
    Image.fromarray(pixels).save(tmp_path / "data" / "val" / "stray.png")
    assert run_knn("--checkpoint", ENCODER, "--data", tmp_path / "data", "--out", tmp_path / "other") == 2
    assert "stray.png lies in no folder of a class" in capsys.readouterr().err
    for reason, source, out in (
        ("has a val/ already", "data", "more"),
        ("is not empty", "pictures", "data"),
        ("is not a folder", "nowhere", "more"),
    ):
        assert main(["data", "prepare", "images", str(tmp_path / source), "--out", str(tmp_path / out)]) == 2
        assert reason in capsys.readouterr().err
    assert main(list(map(str, [*words[:5], tmp_path / "more", "--val-every", 7]))) == 2
    assert "has 7 pictures" in capsys.readouterr().err


def test_coco_layout(tmp_path):
    from eval.data.synthesize import synthesize

    synthesize("coco", tmp_path / "coco", 0, count=12, val_count=6, height=96, width=128)
    assert run_knn("--checkpoint", ENCODER, "--data", tmp_path / "coco", "--out", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["dataset"]["name"] == "synthetic-coco"
    # The picture without annotations and the crowd's region are no objects to classify.
    listed = json.loads((tmp_path / "coco" / "annotations" / "instances_val2017.json").read_text())["annotations"]
    assert any(annotation["iscrowd"] for annotation in listed)
    found = read_box_data(tmp_path / "coco").val
    assert sum(len(example.boxes) for example in found) == sum(not annotation["iscrowd"] for annotation in listed)
    assert record["dataset"]["items_evaluated"] <= sum(len(example.boxes) > 0 for example in found) < 6
    metrics = record["metrics"]
    assert all(metrics[f"vote_k{k}"]["value"] <= 100 for k in (10, 20, 100, 200))


def test_boxes_for_another_size_than_the_image_has(tmp_path, capsys):
    """Boxes of the original pictures framed something else in smaller copies of them."""
    from eval.data.synthesize import synthesize

    synthesize("coco", tmp_path / "coco", 0, count=4, val_count=3, height=96, width=128)
    for path in (tmp_path / "coco" / "val2017").iterdir():
        Image.open(path).resize((64, 48)).save(path)
    assert run_knn("--checkpoint", ENCODER, "--data", tmp_path / "coco", "--out", tmp_path / "out") == 2
    assert "is 64x48 pixels, but its annotation says 128x96" in capsys.readouterr().err


def test_other_labels_to_learn_from_are_another_question(imagenet, tmp_path, capsys):
    data = shutil.copytree(imagenet, tmp_path / "data")
    assert run_knn("--checkpoint", ENCODER, "--data", data, "--out", tmp_path / "out") == 0
    for path in (data / "Annotations" / "CLS-LOC" / "train").rglob("*.xml"):
        path.write_text(path.read_text().replace("<name>other", "<name>another"))
    assert run_knn("--checkpoint", ENCODER, "--data", data, "--out", tmp_path / "out") == 2
    assert "learned from" in capsys.readouterr().err
    # Their results are neither ranked together nor compared.
    assert run_knn("--checkpoint", ENCODER, "--data", data, "--out", tmp_path / "other", "--name", "b") == 0
    records = load_records([tmp_path / "out", tmp_path / "other"]).records
    first, second = (record.dataset for record in records.values())
    assert (first.annotation_sha256, first.items_expected) == (second.annotation_sha256, second.items_expected)
    assert len({row.board for row in build_leaderboard(records).rows}) == 2
    with pytest.raises(UserError, match=r"training data differ \(.{64} and .{64}\)"):
        compare_records(*records.values())


def name_that_no_record_can_hold(root):
    path = next((root / "val").iterdir())
    name = os.fsdecode(b"caf\xe9")
    (root / "Annotations/CLS-LOC/val" / f"{path.stem}.xml").rename(root / "Annotations/CLS-LOC/val" / f"{name}.xml")
    path.rename(path.with_stem(name))
    return "is not in UTF-8"


def damage_image(root):
    path = next((root / "val").iterdir())
    path.write_bytes(path.read_bytes()[:200])
    return path.name


def damage_xml(root):
    path = next((root / "Annotations/CLS-LOC/val").iterdir())
    path.write_text("<annotation><object><name>x</name></object></annotation>")
    return path.name


def unknown_encoding(root):
    path = next((root / "Annotations/CLS-LOC/val").iterdir())
    path.write_text('<?xml version="1.0" encoding="none"?><annotation/>')
    return path.name


def xml_that_is_a_folder(root):
    path = next((root / "Annotations/CLS-LOC/val").iterdir())
    path.unlink()
    path.symlink_to(root)
    return path.name


def lose_image(root):
    path = next((root / "val").iterdir())
    path.unlink()
    return path.stem


def image_of_the_same_name(root):
    """Of two classes' 1.JPEG one was taken for both."""
    path = next((root / "train").rglob("*.JPEG"))
    (root / "train/zzz").mkdir()
    shutil.copy(path, root / "train/zzz" / path.name)
    return f"zzz/{path.name} have one name"


def boxes_of_the_same_name(root):
    path = next((root / "Annotations/CLS-LOC/train").rglob("*.xml"))
    (root / "Annotations/CLS-LOC/train/zzz").mkdir()
    shutil.copy(path, root / "Annotations/CLS-LOC/train/zzz" / path.name)
    return f"zzz/{path.name} have one name"


def lose_boxes(root):
    shutil.rmtree(root / "Annotations/CLS-LOC/train")
    return "ILSVRC2012_bbox_train_v2"


def lose_images(root):
    shutil.rmtree(root / "train")
    return "the images are missing"


def lose_annotations(root):
    shutil.rmtree(root / "Annotations")
    return "Annotations/CLS-LOC"


def test_bad_data(imagenet, tmp_path, capsys):
    damages = (damage_image, damage_xml, lose_image, lose_boxes, lose_images, lose_annotations)
    damages += (
        unknown_encoding,
        xml_that_is_a_folder,
        name_that_no_record_can_hold,
        image_of_the_same_name,
        boxes_of_the_same_name,
    )
    for damage in damages:
        root = shutil.copytree(imagenet, tmp_path / damage.__name__)
        named = damage(root)
        assert run_knn("--checkpoint", ENCODER, "--data", root, "--out", tmp_path / "out") == 2
        assert named in capsys.readouterr().err, damage.__name__
    assert run_knn("--checkpoint", ENCODER, "--data", tmp_path / "absent", "--out", tmp_path / "out") == 2
    assert run_knn("--checkpoint", ENCODER, "--data", imagenet, "--out", tmp_path / "out", "--limit", 0) == 2
    assert not (tmp_path / "out" / "record.json").exists()


def test_the_command_is_registered():
    assert "knn" in COMMANDS
