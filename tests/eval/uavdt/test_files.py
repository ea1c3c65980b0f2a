"""The official layout and the RES_DET format: what is read, written and refused."""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.uavdt_case import detections_of, random_case, truth_of

from eval.uavdt.coco_format import coco_document
from eval.uavdt.files import check_ignore, missing_ignore_files, read_detections, read_truth, write_detections
from eval.uavdt.layout import FRAMES, TRUTH, open_layout
from eval.uavdt.official import pool, score_sequence
from eval.uavdt.sequences import official_sequences
from flsl.runtime.errors import UserError
from flsl.runtime.images import check_image


@pytest.fixture
def gt(tmp_path):
    """Write a ground-truth file: `gt("1,1,...")` returns the folder."""

    def write(text, kind="whole"):
        (tmp_path / "M0203_gt_whole.txt").touch()
        (tmp_path / f"M0203_gt_{kind}.txt").write_text(text)
        return tmp_path

    return write


def test_columns_of_the_ground_truth(gt):
    gt("3,7,10,20,30,40,2,4,3\n\n1,8,1,2,3,4,1,1,1\n")
    truth = read_truth(gt("2,1,5,6,7,8,1,-1,-1\n9999,1,5,6,7,8,1,-1,-1\n", "ignore"), "M0203", 5)
    assert truth.length == 5
    assert truth.frame.tolist() == [3, 1]
    assert truth.target.tolist() == [7, 8]
    assert truth.box.tolist() == [[10, 20, 30, 40], [1, 2, 3, 4]]
    assert (truth.out_of_view[0], truth.occlusion[0], truth.category[0]) == (2, 4, 3)
    assert truth.ignore_frame[0] == 2
    assert truth.ignore_box[0].tolist() == [5, 6, 7, 8]
    assert missing_ignore_files(gt(""), ["M0203", "M0205"]) == ["M0205"]


@pytest.mark.parametrize("text", ["", "\n \n", "0,0,0,0,0,0,0,0,0\n"])
def test_empty_files_and_the_toolkits_placeholder_hold_no_box(gt, tmp_path, text):
    truth = read_truth(gt(text, "ignore"), "M0203", None)
    assert (len(truth.frame), len(truth.ignore_frame)) == (0, 0)
    (tmp_path / "M0203.txt").write_text(text)
    assert len(read_detections(tmp_path, "M0203", 7).frame) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,1,1,1,1,1,1,1,1\n1,1,1,1,1,1,1,1\n", "line 2: expected 9 comma-separated numbers"),
        ("\n1,1,1,1,1,1,1,1,1\n1,1,x,1,1,1,1,1,1\n", "line 3: 'x' is not a finite number"),
        ("1,1,nan,1,1,1,1,1,1\n", "line 1: 'nan' is not a finite number"),
        ("1 1 1 1 1 1 1 1 1\n", "line 1: expected 9 comma-separated numbers"),
        (
            "0,1,1,1,1,1,1,1,1\n1,1,1,1,1,1,1,1,1\n",
            "line 1: column 1, frame, must be a whole number; frames count from 1",
        ),
        ("5,1,1,1,1,1,1,1,1\n6,1,1,1,1,1,1,1,1\n", "line 2: .* the sequence has 5 frames"),
        ("1.5,1,1,1,1,1,1,1,1\n", "line 1: column 1"),
        ("1,1,1,1,0,1,1,1,1\n", "line 1: columns 5 and 6, width and height, must be positive"),
        ("1,1,1,1,1,1,4,1,1\n", "column 7, out-of-view, must be one of 1 none, 2 medium, 3 small"),
        ("1,1,1,1,1,1,1,0,1\n", "column 8, occlusion, must be one of 1 none, 2 large, 3 medium, 4 small"),
        ("1,1,1,1,1,1,1,1,4\n", "column 9, category, must be one of 1 car, 2 truck, 3 bus"),
        ("\x89PNG\r\n", "line 1"),
        ("1,1,1,1,-5,1,1,1,1\n", "line 1: columns 5 and 6"),
        ("1,1,-9,1,5,1,1,1,1\n", "line 1: the box lies outside its frame"),
        ("1,1,1,1e6,5,1,1,1,1\n", "line 1: columns 3 to 6, the box, must be within 100000 pixels"),
        ("1,1e300,1,1,5,1,1,1,1\n", "line 1: column 2, target, is too large"),
        ("1,1,1_0,1,1,1,1,1,1\n", "line 1: '1_0' is not a finite number"),
    ],
)
def test_a_wrong_row_of_the_ground_truth_is_named(gt, rows, message):
    with pytest.raises(UserError, match=message) as error:
        read_truth(gt(rows), "M0203", 5)
    assert "M0203_gt_whole.txt" in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,-1,1,1,1,1\n", "line 1: expected 7 or more comma-separated numbers"),
        ("1,-1,1,1,1,1,0.5,1,-1\n6,-1,1,1,1,1,0.5,1,-1\n", "line 2: .* the sequence has 5 frames"),
        ("0,-1,1,1,1,1,0.5,1,-1\n1,-1,1,1,1,1,0.5,1,-1\n", "line 1: .*frames count from 1"),
        ("1,-1,1,1,1,1,0.5,1,0\n", "line 1: column 9, category"),
        ("1,-1,1,1,1,1,0.5,1,4\n", "line 1: column 9, category"),
        ("1,-1,1,1,-3,1,0.5,1,1\n", "line 1: columns 5 and 6"),
        ("1,-1,1,1,1,1,inf,1,1\n", "line 1: 'inf'"),
        ("1,-1,-1e300,1,1,1,0.5,1,1\n", "line 1: columns 3 to 6, the box"),
        ("1,-1,1,1,1e9,1,0.5,1,1\n", "line 1: columns 3 to 6, the box"),
        ("1,-1,1,1,1,1,1e400,1,1\n", "line 1: '1e400'"),
        ("1,-1,1,1,1,1,0.5,1,1\n2,-1,1,1,1\n3,-1,1,1,-1,1,0.5,1,1\n", "line 2: expected 7 or more"),
        ("1,-1,1,1,1,1,0.5,1,1\n1,-1,1,1,1,1,0.5\n", "line 2: the rows above have 9 columns, this one 7"),
    ],
)
def test_a_wrong_row_of_detections_is_named(tmp_path, rows, message):
    (tmp_path / "M0203.txt").write_text(rows)
    with pytest.raises(UserError, match=message) as error:
        read_detections(tmp_path, "M0203", 5)
    assert str(tmp_path / "M0203.txt") in str(error.value)


def test_frames_that_would_take_all_memory_are_refused(gt, tmp_path):
    with pytest.raises(UserError, match=r"line 1: column 1, frame, .* count from 1 to 1000000"):
        read_truth(gt("1e12,1,1,1,5,1,1,1,1\n"), "M0203", None)
    gt("")
    with pytest.raises(UserError, match=r"M0203_gt_ignore\.txt, line 1: column 1, frame"):
        read_truth(gt("1e12,1,1,1,5,1,1,1,1\n", "ignore"), "M0203", None)
    (tmp_path / "M0203.txt").write_text("1e12,-1,1,1,1,1,0.5,1,1\n")
    with pytest.raises(UserError, match=r"M0203\.txt, line 1: column 1, frame"):
        read_detections(tmp_path, "M0203", None)


CELL = st.sampled_from(
    ["1", "2", "3", "-1", "0", "5", "0.5", "1e3", "1e300", "-4", "nan", "inf", "", "x", " 7 ", "1_0"]
)
ROWS = st.lists(st.lists(CELL, min_size=5, max_size=10).map(",".join), max_size=4).map("\n".join)


@settings(deadline=5000)  # milliseconds an example
@given(ROWS | st.text(max_size=30) | st.lists(st.just("1,1,2,3,4,5,1,1,1") | ROWS, max_size=3).map("\n".join))
def test_no_text_gives_a_traceback(text):
    """Whatever the files hold: a clear error, or a case that can be scored."""
    with TemporaryDirectory() as folder:
        for name in ("M0203_gt_whole.txt", "M0203_gt_ignore.txt", "M0203.txt"):
            (Path(folder) / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        truth, found = truth_of("M0203", 9), detections_of("M0203")
        with contextlib.suppress(UserError):
            truth = read_truth(Path(folder), "M0203", None)
        with contextlib.suppress(UserError):
            found = read_detections(Path(folder), "M0203", None)
        check_ignore(Path(folder) / "M0203_gt_ignore.txt")
        curve = pool([score_sequence(truth, found)])
        assert 0 <= curve.average_precision <= 100


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"M0203\.txt is missing"):
        read_detections(tmp_path, "M0203", 5)
    with pytest.raises(UserError, match=r"M0203_gt_whole\.txt is missing"):
        read_truth(tmp_path, "M0203", 5)


def test_detections_read_back_as_written(tmp_path):
    found = random_case(0)[1]
    write_detections(tmp_path, found)
    again = read_detections(tmp_path, "M0203", 12)
    for field in ("frame", "box", "score", "category"):
        np.testing.assert_array_equal(getattr(again, field), getattr(found, field))
    first = (tmp_path / "M0203.txt").read_text().splitlines()[0].split(",")
    assert (len(first), first[1], first[7]) == (9, "-1", "1")


def test_toolkit_rows_have_no_category(tmp_path):
    (tmp_path / "M0203.txt").write_text("1,-1,183.47,232.3,28.93,50.84,0.77841,1,-1\n")
    found = read_detections(tmp_path, "M0203", None)
    assert (found.score[0], found.category[0]) == (0.77841, -1)
    (tmp_path / "M0203.txt").write_text("1,-1,183.47,232.3,28.93,50.84,0.77841\n")
    assert read_detections(tmp_path, "M0203", None).category[0] == -1


def test_layout_reads_frames_and_truth(make_copy):
    layout = open_layout(make_copy([random_case(0, "M0101", 3)[0], random_case(1, "M0203", 4)[0]]))
    assert layout.sequences("train") == ["M0101"]
    assert layout.sequences("test") == ["M0203"]
    assert layout.length("M0203") == 4
    assert [path.name for path in layout.frames("M0101")] == [f"img00000{i}.jpg" for i in (1, 2, 3)]
    for name in ("img1.jpg", "img02.jpg", "img0000003.jpg"):  # a frame's number has six digits
        shutil.copy(layout.frames("M0203")[3], layout.root / FRAMES / "M0101" / name)
    assert [path.name for path in layout.frames("M0101")] == [f"img00000{i}.jpg" for i in (1, 2, 3)]
    truths = [layout.read_truth("M0203")]
    assert (layout.is_official(truths), layout.name(truths)) == (False, "uavdt-changed")


def test_annotation_hash_follows_the_files(make_copy):
    root = make_copy([random_case(1, "M0203", 4)[0]])
    before = open_layout(root).annotation_sha256(["M0203"])
    assert before == open_layout(root).annotation_sha256(["M0203"])
    with open(root / TRUTH / "M0203_gt_ignore.txt", "a") as file:
        file.write("1,1,1,1,5,5,1,1,1\n")
    assert open_layout(root).annotation_sha256(["M0203"]) != before


def test_layout_problems_are_named(make_copy, tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        open_layout(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no ground truth.*found nothing"):
        open_layout(tmp_path / "empty")
    root = make_copy([random_case(0, "M0203", 4)[0]])
    with pytest.raises(UserError, match=r"none of the 30 official train sequences.*found there: M0203"):
        open_layout(root).sequences("train")
    (root / FRAMES / "M0203" / "img000002.jpg").unlink()
    with pytest.raises(UserError, match=r"img000002\.jpg is missing"):
        open_layout(root).length("M0203")
    (root / FRAMES / "M0205").mkdir()
    with pytest.raises(UserError, match="M0205 holds no frame"):
        open_layout(root).frames("M0205")


def test_frames_that_count_from_0_are_refused(make_copy):
    """Every box would be that of the frame before."""
    root = make_copy([truth_of("M0203", 3, [(2, 1, 1, 9, 9)])])
    (root / FRAMES / "M0203" / "img000003.jpg").rename(root / FRAMES / "M0203" / "img000000.jpg")
    with pytest.raises(UserError, match=r"img000000\.jpg: frames count from 1"):
        open_layout(root).length("M0203")


def test_boxes_beyond_the_frames_are_refused(make_copy):
    root = make_copy([truth_of("M0203", 4, [(4, 1, 1, 9, 9)])])
    (root / FRAMES / "M0203" / "img000004.jpg").unlink()
    with pytest.raises(UserError, match=r"M0203_gt_whole\.txt, line 1: .* the sequence has 3 frames"):
        open_layout(root).read_truth("M0203")


def test_coco_document(make_copy):
    boxes = [(1, 90, 60, 10, 10, 1, 2, 3), (2, 5, 5, 9, 9, 1, 1, 1), (3, -4, 2, 10, 10, 3, 1, 2)]
    truth = truth_of("M0101", 4, boxes, [(3, 80, 50, 30, 30)])
    layout = open_layout(make_copy([truth], size=(96, 64)))
    document = coco_document(layout, [truth])
    assert [category["name"] for category in document["categories"]] == ["car", "truck", "bus"]
    assert len(document["images"]) == 4  # frame 4 has no box and stays
    assert document["images"][0]["file_name"] == "UAV-benchmark-M/M0101/img000001.jpg"
    assert (document["images"][0]["width"], document["images"][0]["height"]) == (96, 64)
    vehicles = [a for a in document["annotations"] if not a["iscrowd"]]
    crowd = [a for a in document["annotations"] if a["iscrowd"]]
    assert [a["bbox"] for a in vehicles] == [[90, 60, 10, 10], [5, 5, 9, 9], [-4, 2, 10, 10]]  # evaluation: untouched
    assert [a["category_id"] for a in vehicles] == [3, 1, 2]
    assert [(a["category_id"], a["image_id"]) for a in crowd] == [(1, 3), (2, 3), (3, 3)]

    document = coco_document(layout, [truth], stride=2, clip=True)
    assert [image["frame"] for image in document["images"]] == [1, 3]
    assert [a["bbox"] for a in document["annotations"]] == [[90, 60, 6, 4], [0, 2, 6, 10]] + [[80, 50, 16, 14]] * 3
    ids = [a["id"] for a in document["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "cut"])
def test_broken_frames_are_named(make_copy, content):
    root = make_copy([truth_of("M0203", 2, [(1, 1, 1, 9, 9)])], size=(640, 480))
    path = root / FRAMES / "M0203" / "img000002.jpg"
    assert check_image(path) == (640, 480)
    path.write_bytes(path.read_bytes()[:-700] if content is None else content)
    layout = open_layout(root)
    with pytest.raises(UserError, match=r"img000002\.jpg cannot be read"):
        coco_document(layout, [layout.read_truth("M0203")])


def test_real_part_is_named_a_subset(data_dir):
    """A part of the real ground truth is a subset, whatever is missing from it."""
    layout = open_layout(data_dir / "uavdt")
    truths = [layout.read_truth(name) for name in layout.sequences("test")]
    assert [truth.name for truth in truths] == ["M0203", "M0208"]
    assert (layout.is_official(truths), layout.name(truths)) == (False, "uavdt-subset")


def test_changed_boxes_are_not_official(data_dir, tmp_path):
    """As many boxes as published are not the published ones."""
    root = shutil.copytree(data_dir / "uavdt", tmp_path / "uavdt")
    path = root / TRUTH / "M0208_gt_whole.txt"
    published = path.read_text()
    layout = open_layout(root)
    for change in (
        ("61,1,546,307,15,19", "61,1,547,307,15,19"),
        ("61,1,546,307,15,19,1,1,1", "61,1,546,307,15,19,1,1,2"),
    ):
        path.write_text(published.replace(*change))
        assert layout.name([layout.read_truth("M0208")]) == "uavdt-changed"
    path.write_text("\n".join(reversed(published.split())))  # another order
    assert layout.name([layout.read_truth("M0208")]) == "uavdt-subset"
    (root / TRUTH / "M0208_gt_ignore.txt").unlink()
    assert layout.name([layout.read_truth("M0208")]) == "uavdt-changed"


def test_published_statistics_of_all_sequences(data_dir):
    """The digests in sequences.json are those of the statistics of the 50 published files."""
    found = json.loads((data_dir / "uavdt" / "gt_whole_stats_all50.json").read_text())
    assert found.keys() == official_sequences().keys()
    for name, facts in found.items():
        numbers = [facts["rows"], facts["frames"], facts["nframes_with_gt"], facts["tracks"]]
        numbers += [facts["xmax"], facts["ymax"], *facts["minxy"], *facts["minwh"]]
        groups = [dict(sorted(facts[key].items())) for key in ("cats", "oov", "occ")]
        text = json.dumps([*map(float, numbers), *groups])
        assert official_sequences()[name].statistics == hashlib.sha256(text.encode()).hexdigest()[:16]
