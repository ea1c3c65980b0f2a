"""`python -m eval discovery` on all data layouts: what is read, written, kept, taken up again and refused."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
from PIL import Image
from support.discovery_data import coco_20k, voc

from eval import evaluate
from eval.__main__ import main
from eval.data.synthesize import synthesize
from eval.discovery import boxes as boxes_module
from eval.discovery.data import open_discovery
from eval.discovery.scoring import correct, overlaps_of
from flsl.checkpoint import load_encoder
from flsl.runtime.errors import UserError
from results.compare import compare_records
from results.leaderboard import build_leaderboard
from results.store import load_records, read_record

ENCODER = "random:vit_micro/16"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Nine drawn pictures in COCO's layout, of which one holds no object. Not to be changed."""
    root = tmp_path_factory.mktemp("drawn") / "coco"
    synthesize("coco", root, count=3, val_count=9, height=96, width=120)
    return root


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A finished run by the command. Not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert main(["discovery", "--checkpoint", ENCODER, "--data", str(data), "--out", str(out)]) == 0
    return out


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def boxes_of(out):
    return json.loads((out / "boxes.json").read_text())


def test_the_record_holds_what_the_boxes_say(data, finished):
    record, opened, boxes = read_record(finished / "record.json"), open_discovery(data), boxes_of(finished)
    assert (record.benchmark, record.protocol, record.status) == ("discovery", "coco/lost@1", "complete")
    assert (record.dataset.name, record.dataset.official, record.dataset.items_evaluated) == (
        "synthetic-coco",
        False,
        8,
    )
    right = []
    for image in opened.images:
        left, top, x, y = boxes[image.name]
        assert 0 <= left < x <= 120
        assert 0 <= top < y <= 96
        best = 0.0
        for a, b, c, d in image.boxes.tolist():
            common = max(min(x, c) - max(left, a), 0) * max(min(y, d) - max(top, b), 0)
            best = max(best, common / ((x - left) * (y - top) + (c - a) * (d - b) - common))
        right.append(100.0 * (best >= 0.5))
        assert record.per_item[image.name] == {"CorLoc": right[-1]}
    assert record.metrics["CorLoc"].value == pytest.approx(np.mean(right))
    assert record.metrics["CorLoc"].interval.unit == "images"
    assert record.warnings == ["1 images without an object are left out"]
    assert {"features", "discovery", "scoring"} <= set(record.timing.phases)
    assert all((finished / name).is_file() for name in record.files.values())
    assert Image.open(finished / "sheet.png").size[0] > 500
    assert [row.value for row in build_leaderboard(load_records(finished).records).rows] == [
        record.metrics["CorLoc"].value
    ]


def test_an_overlap_of_a_half_counts_and_less_does_not(data):
    (image, *_) = open_discovery(data).images
    left, top, right, bottom = image.boxes[0].tolist()
    half = [left, top, right, 2 * bottom - top]
    assert correct(overlaps_of([image], {image.name: half})).tolist() == [100.0]
    assert correct(overlaps_of([image], {image.name: [left, top, right, 2 * bottom - top + 1]})).tolist() in (
        [0.0],
        [100.0],
    )
    alone = type(image)(image.name, image.path, np.array([[left, top, right, bottom]]))
    assert correct(overlaps_of([alone], {image.name: half})).tolist() == [100.0]
    assert correct(overlaps_of([alone], {image.name: [*half[:3], half[3] + 1]})).tolist() == [0.0]


def test_the_same_question_is_answered_and_another_refused(data, out, tmp_path, capsys):
    assert evaluate(ENCODER, "discovery", data, out) == read_record(out / "record.json")
    assert "skipped" in capsys.readouterr().out
    for change, named in (({"seed": 1}, "seed"), ({"protocol": "tokencut"}, "protocol")):
        with pytest.raises(UserError, match=named):
            evaluate(ENCODER, "discovery", data, out, **change)
    with pytest.raises(UserError, match="encoder"):
        evaluate("random:vit_micro/8", "discovery", data, out)
    with pytest.raises(UserError, match="Did you mean 'tokencut'"):
        evaluate(ENCODER, "discovery", data, out, protocol="tokencuts")
    with pytest.raises(UserError, match="over all images"):
        evaluate(ENCODER, "discovery", data, out, limit=2)
    shutil.copytree(data, tmp_path / "data")
    image = open_discovery(tmp_path / "data").images[0].path
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(UserError, match=r"holds another run: data\.images"):
        evaluate(ENCODER, "discovery", tmp_path / "data", out)


def test_both_protocols_differ_and_are_compared_with_themselves_only(data, finished, tmp_path):
    other = evaluate(ENCODER, "discovery", data, tmp_path / "out", protocol="tokencut")
    assert other.protocol == "coco/tokencut@1"
    assert boxes_of(tmp_path / "out") != boxes_of(finished)
    with pytest.raises(UserError, match="protocol"):
        compare_records(read_record(finished / "record.json"), other)
    pixels = evaluate("pixels/16", "discovery", data, tmp_path / "pixels", protocol="tokencut")
    assert compare_records(other, pixels).items == 8


def test_a_stopped_run_keeps_its_boxes_and_goes_on(data, out, capsys, monkeypatch):
    before, arguments = boxes_of(out), ["discovery", "--checkpoint", ENCODER, "--data", str(data), "--out", str(out)]
    (out / "record.json").unlink()
    (out / "boxes.json").unlink()
    box_around, made = boxes_module.box_around, []

    def stop_at_the_third(*what):
        made.append(what)
        if len(made) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return box_around(*what)

    with monkeypatch.context() as patch:
        patch.setattr(boxes_module, "box_around", stop_at_the_third)
        assert main(arguments) == 75
    assert "the same command goes on" in capsys.readouterr().err
    assert len(boxes_of(out)) == 3
    assert main(arguments) == 0
    assert "3 of 8 images have their box already" in capsys.readouterr().out
    assert boxes_of(out) == before


def test_a_limit_gives_a_partial_record_that_the_whole_goes_on_from(data, finished, tmp_path, capsys):
    part = evaluate(ENCODER, "discovery", data, tmp_path, limit=3)
    assert (part.status, part.dataset.items_expected, part.dataset.items_evaluated) == ("partial", 8, 3)
    whole = evaluate(ENCODER, "discovery", data, tmp_path)
    assert "3 of 8 images" in capsys.readouterr().out
    assert whole.metrics == read_record(finished / "record.json").metrics


def test_saved_boxes_are_scored_whoever_made_them(data, finished, tmp_path, capsys):
    words = ["discovery", "--score-only", "--data", str(data)]
    assert main([*words, "--out", str(tmp_path / "own"), "--predictions", str(finished / "boxes.json")]) == 0
    own, made = read_record(tmp_path / "own/record.json"), read_record(finished / "record.json")
    assert (own.protocol, own.metrics, own.model) == (made.protocol, made.metrics, made.model)
    truth = {image.name: image.boxes[0].tolist() for image in open_discovery(data).images}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert (
        main([*words, "--out", str(tmp_path / "b"), "--predictions", str(tmp_path / "truth.json"), "--name", "truth"])
        == 0
    )
    record = read_record(tmp_path / "b/record.json")
    assert (record.metrics["CorLoc"].value, record.protocol, record.model.name) == (100.0, "coco/corloc@1", "truth")
    assert main([*words, "--out", str(tmp_path / "c")]) == 2
    assert "boxes.json cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "holds no object"),
        ('{"a": [1, 2, 3]}', "four finite numbers"),
        ('{"a": [1, 2, 3, NaN]}', "four finite numbers"),
        ('{"a": [1, 2, 3, true]}', "four finite numbers"),
        ('{"a": [1, 2, 3, 1e999]}', "four finite numbers"),
        ('{"a": [5, 2, 3, 4]}', "ends before it begins"),
        ('{"a": [1, 2, 3, 4]}', "has no box for"),
    ],
)
def test_boxes_that_are_none_are_named(content, says, data, tmp_path, capsys):
    (tmp_path / "boxes.json").write_text(content)
    words = [
        "--score-only",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "out"),
        "--predictions",
        str(tmp_path / "boxes.json"),
    ]
    assert main(["discovery", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "boxes.json" in error
    assert not (tmp_path / "out/record.json").exists()


@pytest.mark.parametrize(
    ("names", "kind"), [(["000005", "000007"], "voc2007"), (["2008_000002", "2008_000003"], "voc2012")]
)
@pytest.mark.parametrize("middle", ["", "VOC20xx", "VOCdevkit/VOC20xx"])
def test_pascal_voc_is_read_as_the_public_code_reads_it(names, kind, middle, tmp_path):
    """Pixels count from 1, the last one included; difficult objects count; parts of objects do not."""
    voc(tmp_path / middle.replace("20xx", kind[3:]), names, box=("3", "5.6", "40", "30"))
    data = open_discovery(tmp_path)
    assert (data.name, data.split, data.official, len(data.images)) == (kind, "trainval", False, 2)
    assert data.images[0].boxes.tolist() == [[2, 4, 40, 30]]


@pytest.mark.parametrize("protocol", ["lost", "tokencut"])
def test_a_black_square_on_white_is_found(protocol, tmp_path):
    root = voc(tmp_path / "voc", ["000005", "000007"], box=(17, 9, 48, 40))
    pixels = np.full((50, 70, 3), 255, np.uint8)
    pixels[8:40, 16:48] = 0
    for path in (root / "JPEGImages").iterdir():
        Image.fromarray(pixels).save(path, quality=95)
    record = evaluate("pixels/8", "discovery", root, tmp_path / "out", protocol=protocol)
    assert (record.protocol, record.dataset.name) == (f"voc2007/{protocol}@1", "voc2007")
    assert record.per_item == {"000005": {"CorLoc": 100.0}, "000007": {"CorLoc": 100.0}}
    assert boxes_of(tmp_path / "out")["000005"] == [16, 8, 48, 40]


def test_coco_20k_is_the_listed_part(data, tmp_path):
    opened = open_discovery(coco_20k(tmp_path / "coco", data))
    assert (opened.name, opened.split, opened.official) == ("coco20k", "train2014", False)
    assert len(opened.images) + opened.empty == 6


def test_crowds_are_no_objects_and_corners_are_rounded(data, tmp_path):
    root = shutil.copytree(data, tmp_path / "data")
    file = root / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    first = content["annotations"][0]["image_id"]
    for entry in content["annotations"]:
        entry["iscrowd"] = int(entry["image_id"] != first)
    mine = [entry for entry in content["annotations"] if entry["image_id"] == first]
    mine[0]["bbox"] = [2.5, 3.5, 10.2, 20.1]  # to the even number, as Python's round
    file.write_text(json.dumps(content))
    opened = open_discovery(root)
    assert (len(opened.images), opened.empty) == (1, 8)
    assert opened.images[0].boxes[0].tolist() == [2, 4, 13, 24]


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda root: (root / "JPEGImages/000005.jpg").unlink(), "000005.jpg is missing"),
        (lambda root: (root / "JPEGImages/000005.jpg").write_bytes(b"\xff\xd8"), "000005.jpg"),
        (lambda root: (root / "Annotations/000005.xml").unlink(), "000005.xml is not a box file"),
        (
            lambda root: (root / "Annotations/000005.xml").write_text("<a><object><name>x</name></object></a>"),
            "lacks bndbox",
        ),
        (lambda root: (root / "Annotations/000005.xml").write_text("<!DOCTYPE"), "is not a box file"),
        (lambda root: (root / "ImageSets/Main/trainval.txt").write_text(""), "names no image"),
        (lambda root: (root / "ImageSets/Main/trainval.txt").write_text("000005\n000005"), "names 000005 twice"),
        (lambda root: (root / "ImageSets/Main/trainval.txt").write_text("../../etc\n000005"), "another folder"),
        (lambda root: (root / "ImageSets/Main/trainval.txt").write_text("holiday"), "neither those of VOC 2007"),
        (lambda root: (root / "ImageSets/Main/trainval.txt").unlink(), "trainval.txt cannot be read"),
        (lambda root: voc(root / "VOC2012", ["2008_000002"]), "several data sets"),
        (lambda root: shutil.rmtree(root / "Annotations"), "holds neither"),
        (
            lambda root: [(root / f"Annotations/{n}.xml").write_text("<a/>") for n in ("000005", "000007")],
            "nothing to discover",
        ),
    ],
)
def test_broken_copies_end_in_one_error(break_it, says, tmp_path, capsys):
    break_it(root := voc(tmp_path / "voc", ["000005", "000007"]))
    assert main(["discovery", "--checkpoint", "pixels/16", "--data", str(root), "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out/record.json").exists()


def test_a_list_that_the_annotations_do_not_hold(data, tmp_path):
    root = coco_20k(tmp_path / "coco", data)
    (root / "coco_20k_filenames.txt").write_text("train2014/COCO_train2014_000000000001.jpg")
    with pytest.raises(UserError, match="lacks 1 images that"):
        open_discovery(root)
    (root / "coco_20k_filenames.txt").unlink()
    with pytest.raises(UserError, match="COCO 20k only with its list"):
        open_discovery(root)


def test_pictures_of_another_size_than_annotated_and_features_that_are_no_numbers_are_named(data, tmp_path):
    root = shutil.copytree(data, tmp_path / "data")
    image = open_discovery(root).images[0].path
    encoder = load_encoder("random:vit_nano/16").encoder
    encoder.blocks[0].mlp.fc2.bias.data.fill_(3e38)  # a number, whose sums are none
    with pytest.raises(UserError, match=f"{image}: the encoder's features are NaN or infinite from block"):
        evaluate(encoder, "discovery", root, tmp_path / "out")
    Image.open(image).resize((60, 48)).save(image)
    with pytest.raises(UserError, match=f"{image}.*60x48"):
        evaluate("pixels/16", "discovery", root, tmp_path / "out2")


def test_a_picture_of_too_many_patches_is_named(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(boxes_module, "MOST_TOKENS", 47)
    assert main(["discovery", "--checkpoint", "pixels/16", "--data", str(data), "--out", str(tmp_path)]) == 2
    assert "leave the image out" in capsys.readouterr().err
