"""The reader of VIP: order, stray files, names in records, and every defect named with its file."""

import shutil

import numpy as np
import pytest
from PIL import Image

from eval.data.synthesize import synthesize
from eval.vip.data import CLASSES, OFFICIAL, open_vip, read_parts
from eval.vip.scoring import read_prediction
from flsl.runtime.errors import UserError

FRAMES, MASKS = "Images/drawn-01", "Annotations/Category_ids/drawn-01"
LIST = "lists/val_videos.txt"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small drawn copy, to be read only."""
    root = tmp_path_factory.mktemp("vip") / "vip"
    assert synthesize("vip", root, videos=2, frames=3, height=64, width=80) == 0
    return root


@pytest.fixture
def copy(drawn, tmp_path):
    """A copy to break, without the marker."""
    root = shutil.copytree(drawn, tmp_path / "copy")
    (root / "dataset.json").unlink()
    return root


def rewrite(path, size=None, mode=None, value=None):
    image = Image.open(path)
    image.load()
    if value is not None:
        index = np.array(image)
        index[0, 0] = value
        image = Image.fromarray(index)
    image = image.resize(size) if size else image
    (image.convert(mode) if mode else image).save(path)


def test_twenty_parts_and_fifty_videos():
    assert (len(CLASSES), CLASSES[13], CLASSES[19]) == (20, "face", "left-shoe")
    assert (len(set(OFFICIAL)), OFFICIAL[0], OFFICIAL[-1]) == (50, "videos338", "videos141")


def test_a_drawn_copy(drawn):
    data = open_vip(drawn)
    assert (data.name, data.official, data.split) == ("synthetic-vip", False, "val")
    assert [video.name for video in data.videos] == ["drawn-00", "drawn-01"]
    video = data.videos[1]
    assert video.size == (64, 80)
    assert [path.name for path in video.frames] == [f"{number:012d}.jpg" for number in (1, 26, 51)]
    assert [path.stem for path in video.frames] == [path.stem for path in video.masks]
    truth = read_parts(video.masks[0])
    assert (truth.shape, truth.dtype) == ((64, 80), np.uint8)
    assert {0, 2, 13, 14, 15} <= set(np.unique(truth).tolist()) <= set(range(20))


def test_order_is_by_number_and_other_files_are_none(copy):
    for folder, suffix in ((FRAMES, "jpg"), (MASKS, "png")):
        (copy / folder / f"000000000026.{suffix}").rename(copy / folder / f"7.{suffix}")
        (copy / folder / f"000000000051.{suffix}").rename(copy / folder / f"10.{suffix}")
        for stray in (f"._0001.{suffix}", f"7a.{suffix}", "cache.npy", f"x.{suffix}", "7.bmp"):
            (copy / folder / stray).write_bytes(b"stray")
    (copy / "lists/._val_videos.txt").write_bytes(b"\0")
    video = open_vip(copy).videos[1]
    assert [path.name for path in video.frames] == ["000000000001.jpg", "7.jpg", "10.jpg"]
    assert [path.name for path in video.masks] == ["000000000001.png", "7.png", "10.png"]


def test_endings_in_capitals_and_lists_from_elsewhere(copy):
    for folder in (FRAMES, MASKS):
        for path in (copy / folder).iterdir():
            path.rename(path.with_suffix(path.suffix.upper()))
    (copy / LIST).write_bytes(b"\xef\xbb\xbf" + (copy / LIST).read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    video = open_vip(copy).videos[1]
    assert [path.name for path in video.masks] == [f"{number:012d}.PNG" for number in (1, 26, 51)]
    shutil.copy(video.masks[0], video.masks[0].with_suffix(".png"))
    with pytest.raises(UserError, match="both number 1"):
        open_vip(copy)


def test_void_is_kept_and_gray_masks_are_read(copy):
    path = copy / MASKS / "000000000026.png"
    rewrite(path, value=255)
    assert Image.open(path).mode == "L"
    assert open_vip(copy).videos[1].masks[1] == path
    assert read_parts(path)[0, 0] == 255


def test_names_and_limits(drawn, copy, monkeypatch):
    data = open_vip(copy)
    assert (data.name, data.official) == ("vip-val (2 videos)", False)
    assert data.choose() == list(data.videos)
    assert [video.name for video in data.choose(1)] == ["drawn-00"]
    with pytest.raises(UserError, match="--limit 0"):
        data.choose(0)
    (copy / LIST).write_text("drawn-01\n")
    assert open_vip(copy).name == "vip-val (1 video)"
    monkeypatch.setattr("eval.vip.data.OFFICIAL", ("drawn-01",))
    assert (open_vip(copy).name, open_vip(copy).official) == ("vip-val", True)
    (copy / "lists/train_videos.txt").write_text("drawn-01\n")
    assert not open_vip(copy, "train").official
    assert not open_vip(drawn).official


def test_the_digest_tells_annotations_from_others(copy):
    before = open_vip(copy).annotation_sha256
    rewrite(copy / FRAMES / "000000000026.jpg", value=(0, 0, 0))
    assert open_vip(copy).annotation_sha256 == before
    rewrite(copy / MASKS / "000000000026.png", value=3)
    assert open_vip(copy).annotation_sha256 != before


@pytest.mark.parametrize("split", ["test", "", "../lists/val", "x" * 300, "val\0", ".hidden"])
def test_a_split_is_one_of_the_lists(copy, split):
    shutil.copy(copy / LIST, copy / "lists/.hidden_videos.txt")
    with pytest.raises(
        UserError, match=r"is missing: it lists the videos of the split. Lists found: val \(--split NAME\)"
    ):
        open_vip(copy, split)


def test_masks_alone_are_enough_to_score(copy):
    shutil.rmtree(copy / "Images")
    video = open_vip(copy, need_frames=False).videos[0]
    assert (video.frames, len(video.masks), video.size) == ((), 3, (64, 80))
    with pytest.raises(UserError, match="lacks Images; found there: Annotations, lists"):
        open_vip(copy)


DAMAGE = {  # what is broken -> how, the file that is named, and what is said of it
    "frame missing": (
        lambda p: p.unlink(),
        f"{FRAMES}/000000000026.jpg",
        f"{MASKS}/000000000026.png",
        "without a frame",
    ),
    "mask missing": (lambda p: p.unlink(), f"{MASKS}/000000000026.png", None, "every frame needs its annotation"),
    "no frames": (shutil.rmtree, FRAMES, None, "holds no frames"),
    "no masks": (shutil.rmtree, MASKS, None, "holds no annotations"),
    "frame's size": (lambda p: rewrite(p, size=(40, 30)), f"{FRAMES}/000000000026.jpg", None, "40x30"),
    "mask's size": (lambda p: rewrite(p, size=(40, 30)), f"{MASKS}/000000000026.png", None, "40x30"),
    "colors": (lambda p: rewrite(p, mode="RGB"), f"{MASKS}/000000000026.png", None, "mode RGB"),
    "no picture": (lambda p: p.write_bytes(b"text"), f"{FRAMES}/000000000026.jpg", None, "cannot be read"),
    "one number twice": (
        lambda p: shutil.copy(p, p.with_name("26.jpg")),
        f"{FRAMES}/000000000026.jpg",
        FRAMES,
        "number 26",
    ),
    "no list": (lambda p: p.unlink(), LIST, None, "is missing: it lists the videos"),
    "empty list": (lambda p: p.write_text("\n"), LIST, None, "lists no video"),
    "listed twice": (lambda p: p.write_text("drawn-01\ndrawn-01\n"), LIST, None, "lists drawn-01 twice"),
    "listed outside": (lambda p: p.write_text("../drawn-01\n"), LIST, None, "cannot be the name of a video"),
    "list is a folder": (lambda p: (p.unlink(), p.mkdir()), LIST, None, "is missing"),
}


@pytest.mark.parametrize(("damage", "place", "named", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused_by_name(damage, place, named, reason, copy):
    damage(copy / place)
    with pytest.raises(UserError) as refused:
        open_vip(copy)
    assert str(copy / (named or place)) in str(refused.value)
    assert reason in str(refused.value)


def test_one_annotation_is_too_few(copy):
    for number in (26, 51):
        (copy / FRAMES / f"{number:012d}.jpg").unlink()
        (copy / MASKS / f"{number:012d}.png").unlink()
    with pytest.raises(UserError, match="needs two or more"):
        open_vip(copy)


@pytest.mark.parametrize("value", [20, 254])
def test_other_ids_are_refused(value, copy):
    path = copy / MASKS / "000000000026.png"
    rewrite(path, value=value)
    with pytest.raises(UserError, match=f"holds the values {value}") as refused:
        read_parts(path)
    assert str(path) in str(refused.value)


def test_a_prediction_of_other_ids_is_refused(drawn, tmp_path):
    video = open_vip(drawn).videos[1]
    path = tmp_path / video.name / video.masks[1].name
    path.parent.mkdir()
    shutil.copy(video.masks[1], path)
    assert (read_prediction(video, video.masks[1], tmp_path) == read_parts(video.masks[1])).all()
    rewrite(path, value=20)
    with pytest.raises(UserError, match=f"{path} holds the value 20"):
        read_prediction(video, video.masks[1], tmp_path)


def test_wrong_folders(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        open_vip(tmp_path / "nowhere")
    with pytest.raises(UserError, match="found there: nothing"):
        open_vip(tmp_path)
