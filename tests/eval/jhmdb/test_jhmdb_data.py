"""The reader of JHMDB: splits, joints that count from 0, stray files, and every defect named with its file."""

import os
import shutil

import cv2
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from eval.data.synthesize import synthesize
from eval.jhmdb.data import JOINTS, LIMBS, open_jhmdb
from flsl.runtime.errors import UserError

CLIP = "walk/drawn_test_00"
FRAMES, POSITIONS = f"Rename_Images/{CLIP}", f"joint_positions/{CLIP}/joint_positions.mat"
LIST = "splits/walk_test_split1.txt"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small drawn copy, to be read only."""
    root = tmp_path_factory.mktemp("jhmdb") / "jhmdb"
    assert synthesize("jhmdb", root, clips=2, train_clips=1, frames=3, height=64, width=80) == 0
    return root


@pytest.fixture
def copy(drawn, tmp_path):
    """A copy to break, without the marker."""
    root = shutil.copytree(drawn, tmp_path / "copy")
    (root / "dataset.json").unlink()
    return root


def write(path, positions, name="pos_img"):
    savemat(path, {name: positions})


def positions(shape=(2, 15, 3), value=5.0):
    found = np.full(shape, 5.0)
    found.flat[7] = value
    return found


def paint(path, height, width):
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def test_joints_hang_together_as_a_tree():
    assert (len(JOINTS), JOINTS[1], JOINTS[14]) == (15, "belly", "left ankle")
    assert sorted(joint for joint, _ in LIMBS) == [0, *range(2, 15)]
    assert all(JOINTS[a].split()[0] == JOINTS[b].split()[0] for a, b in LIMBS[6:])


def test_a_drawn_copy(drawn):
    data = open_jhmdb(drawn)
    assert (data.name, data.official, data.split) == ("synthetic-jhmdb", False, "test")
    assert [clip.name for clip in data.videos] == ["run/drawn_test_01", CLIP]
    assert [clip.name for clip in open_jhmdb(drawn, "train").videos] == ["walk/drawn_train_00"]
    clip = data.videos[1]
    assert clip.size == (64, 80)
    assert [path.name for path in clip.frames] == ["00001.png", "00002.png", "00003.png"]
    assert (clip.joints.shape, clip.joints.dtype) == ((3, 15, 2), np.float64)
    assert clip == open_jhmdb(drawn).videos[1]


def test_joints_count_from_0_and_may_lie_outside(copy):
    found = np.arange(90.0).reshape(2, 15, 3) * 10 - 40
    write(copy / POSITIONS, found)
    joints = open_jhmdb(copy).videos[1].joints
    assert np.array_equal(joints[2, 4], found[:, 4, 2] - 1)
    assert joints.min() == -41
    write(copy / POSITIONS, found.astype(np.int16))
    assert np.array_equal(open_jhmdb(copy).videos[1].joints, joints)


def test_later_frames_need_no_joints(copy):
    shutil.copy(copy / FRAMES / "00003.png", copy / FRAMES / "00004.png")
    clip = open_jhmdb(copy).videos[1]
    assert (len(clip.frames), len(clip.joints)) == (4, 3)


def test_stray_files_are_none(copy):
    for folder in (FRAMES, f"joint_positions/{CLIP}", "splits"):
        (copy / folder / ".AppleDouble").mkdir()
        (copy / folder / "._00001.png").write_bytes(b"stray")
    (copy / FRAMES / "1.png").write_bytes(b"stray")
    (copy / FRAMES / "000002.png").write_bytes(b"stray")
    (copy / "splits/._walk_test_split1.txt").write_bytes(b"\0")
    (copy / "splits/walk_test_split2.txt").write_text("other.avi 2\n")
    assert [len(clip.frames) for clip in open_jhmdb(copy).videos] == [3, 3]


def test_endings_in_capitals_and_lists_from_elsewhere(copy):
    for path in (copy / FRAMES).iterdir():
        path.rename(path.with_suffix(".PNG"))
    for path in (copy / "splits").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b" \r\n") + b"\r\n")
    assert [len(clip.frames) for clip in open_jhmdb(copy).videos] == [3, 3]


@pytest.mark.parametrize(
    ("action", "said"), [(b"a\x1b[2Jb", "it holds control characters"), (b"\xff", "is not in UTF-8")]
)
def test_actions_have_names_that_a_record_can_hold(action, said, copy):
    try:
        (copy / LIST).rename(copy / "splits" / f"{os.fsdecode(action)}_test_split1.txt")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(UserError, match=said):
        open_jhmdb(copy)


def test_names_and_limits(copy, monkeypatch):
    data = open_jhmdb(copy)
    assert (data.name, data.official) == ("jhmdb-test (2 clips)", False)
    assert [clip.name for clip in data.choose(1)] == ["run/drawn_test_01"]
    with pytest.raises(UserError, match="--limit 0 leaves no clip"):
        data.choose(0)
    assert open_jhmdb(copy, "train").name == "jhmdb-train (1 clip)"
    monkeypatch.setattr("eval.jhmdb.data.OFFICIAL_CLIPS", 2)
    assert not open_jhmdb(copy).official
    monkeypatch.setattr("eval.jhmdb.data.OFFICIAL_ACTIONS", 2)
    assert (open_jhmdb(copy).name, open_jhmdb(copy).official) == ("jhmdb-test", True)


def test_the_digest_tells_annotations_from_others(copy):
    before = open_jhmdb(copy).annotation_sha256
    paint(copy / FRAMES / "00002.png", 64, 80)
    assert open_jhmdb(copy).annotation_sha256 == before
    write(copy / POSITIONS, positions())
    assert open_jhmdb(copy).annotation_sha256 != before


def test_joints_alone_are_enough_to_score(copy):
    shutil.rmtree(copy / "Rename_Images")
    clip = open_jhmdb(copy, need_frames=False).videos[1]
    assert (clip.frames, clip.size, clip.joints.shape) == ((), (0, 0), (3, 15, 2))
    with pytest.raises(UserError, match="lacks Rename_Images; found there: joint_positions, splits"):
        open_jhmdb(copy)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {  # what is broken -> how, the file that is named, and what is said of it
    "gap": (lambda p: p.unlink(), f"{FRAMES}/00002.png", "without a gap"),
    "no first frame": (lambda p: p.unlink(), f"{FRAMES}/00001.png", "frames count from 1"),
    "frame 0": (lambda p: paint(p, 64, 80), f"{FRAMES}/00000.png", "frames count from 1"),
    "no frames": (shutil.rmtree, FRAMES, "holds no frames"),
    "a frame too few": (lambda p: (p / "00003.png").unlink(), FRAMES, "has 2 frames"),
    "size": (lambda p: paint(p, 30, 40), f"{FRAMES}/00002.png", "40x30"),
    "no picture": (lambda p: p.write_bytes(b"text"), f"{FRAMES}/00002.png", "cannot be read"),
    "no joints": (lambda p: p.unlink(), POSITIONS, "is missing"),
    "joints cut off": (cut, POSITIONS, "damaged or no MATLAB file"),
    "no MATLAB file": (lambda p: p.write_text("text"), POSITIONS, "damaged or no MATLAB file"),
    "other variable": (lambda p: write(p, positions(), "pos_world"), POSITIONS, "lacks the numbers pos_img"),
    "text": (lambda p: write(p, "text"), POSITIONS, "lacks the numbers pos_img"),
    "other shape": (lambda p: write(p, positions((15, 2, 3))), POSITIONS, "15 x 2 x 3"),
    "one frame": (lambda p: write(p, positions((2, 15, 1))), POSITIONS, "pos_img of 2 x 15"),
    "NaN": (lambda p: write(p, positions(value=np.nan)), POSITIONS, "the joint face in frame 2"),
    "far away": (lambda p: write(p, positions(value=1e6)), POSITIONS, "within 100,000 pixels"),
    "infinite": (lambda p: write(p, positions(value=np.inf)), POSITIONS, "no finite position"),
    "other line": (lambda p: p.write_text("drawn_test_00.avi\n"), LIST, "line 1: 'drawn_test_00.avi' is not a clip"),
    "other code": (lambda p: p.write_text("\ndrawn_test_00.avi 0\n"), LIST, "line 2: 'drawn_test_00.avi 0'"),
    "listed twice": (lambda p: p.write_text("drawn_test_00.avi 2\n" * 2), LIST, "lists drawn_test_00 twice"),
    "listed outside": (lambda p: p.write_text("../../x.avi 2\n"), LIST, "cannot be the name of a clip"),
    "a list of folders": (
        lambda p: (p.unlink(), p.mkdir()),
        LIST,
        "it is a folder, not a file. Remove it, or name another.",
    ),
    "a list that waits": (lambda p: (p.unlink(), os.mkfifo(p)), LIST, "it is a named pipe, not a file"),
    "no lists": (lambda p: [path.unlink() for path in p.iterdir()], "splits", "holds no list"),
}


@pytest.mark.parametrize(("damage", "place", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused_by_name(damage, place, reason, copy):
    damage(copy / place)
    with pytest.raises(UserError) as refused:
        open_jhmdb(copy)
    assert str(copy / place) in str(refused.value)
    assert reason in str(refused.value)


def test_splits_that_are_none_or_empty(copy, tmp_path):
    with pytest.raises(UserError, match="Did you mean 'test'"):
        open_jhmdb(copy, "tset")
    for path in (copy / "splits").iterdir():
        path.write_text(path.read_text().replace(".avi 1", ".avi 2").replace("drawn_train", "drawn_test"))
    (copy / LIST).write_text("drawn_test_00.avi 2\n")
    with pytest.raises(UserError, match="no list names a clip of the split train"):
        open_jhmdb(copy, "train")
    with pytest.raises(UserError, match="is not a folder"):
        open_jhmdb(tmp_path / "nowhere")


def test_the_file_of_drawn_joints_is_matlabs(drawn):
    """And tells no time of writing, so that the same seed gives the same bytes."""
    content = loadmat(drawn / POSITIONS)
    assert content["pos_img"].shape == (2, 15, 3)
    assert b"Created on" not in (drawn / POSITIONS).read_bytes()
