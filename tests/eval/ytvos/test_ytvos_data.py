"""The reader of YouTube-VOS: where objects appear, what is scored, and every defect named with its file."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from eval.ytvos.data import OFFICIAL, open_ytvos
from flsl.runtime.errors import UserError

FRAMES, MASKS, META = "valid/JPEGImages/drawn-01", "valid/Annotations/drawn-01", "valid/meta.json"


def edit(root, change, split="valid"):
    """Change the content of a split's meta.json."""
    path = root / split / "meta.json"
    content = json.loads(path.read_text())
    change(content["videos"])
    path.write_text(json.dumps(content))


def objects(root, video="drawn-01"):
    return json.loads((root / META).read_text())["videos"][video]["objects"]


def paint(path, number, old=None):
    """Give the first pixels of a mask, or all of an id, another id."""
    image = Image.open(path)
    mask = np.array(image)
    if old is None:
        mask[:2, :2] = number
    else:
        mask[mask == old] = number
    changed = Image.fromarray(mask)
    changed.putpalette(image.getpalette())
    changed.save(path)


def test_objects_begin_where_a_mask_first_shows_them(drawn, bare):
    with_truth, without = open_ytvos(drawn), open_ytvos(bare)
    assert (with_truth.has_truth, without.has_truth) == (True, False)
    assert with_truth.name == without.name == "synthetic-ytvos"
    assert with_truth.annotation_sha256 != without.annotation_sha256
    for video, same in zip(with_truth.videos, without.videos):
        assert video.objects == same.objects
        assert (video.size, len(video.frames), len(video.masks), video.listed) == ((96, 128), 4, 4, (0, 1, 2, 3))
        listed = objects(drawn, video.name)
        for one in video.objects:
            assert listed[str(one.number)]["category"] == one.category
            assert int(listed[str(one.number)]["frames"][0]) == 5 * one.first
        assert 0 < max(one.first for one in video.objects) < 3
        given = video.read_given()
        assert {index: set(np.unique(mask)) - {0} for index, mask in given.items()} == {
            index: {one.number for one in video.objects if one.first == index} for index in given
        }


def test_what_is_listed_before_it_is_seen_begins_when_it_is_seen(copy):
    """As some objects of the published training split are."""
    one = max(open_ytvos(copy).videos[1].objects, key=lambda one: one.first)
    edit(copy, lambda videos: videos["drawn-01"]["objects"][str(one.number)]["frames"].insert(0, "00000"))
    assert one in open_ytvos(copy).videos[1].objects


def test_ids_need_not_be_consecutive_nor_frames_begin_at_zero(copy):
    for kind in ("JPEGImages", "Annotations"):
        for path in sorted((copy / "valid" / kind / "drawn-01").iterdir(), reverse=True):
            path.rename(path.with_stem(f"{int(path.stem) + 20:05d}"))
    for path in (copy / MASKS).iterdir():
        paint(path, 9, old=1)

    def move(videos):
        found = videos["drawn-01"]["objects"]
        found["9"] = found.pop("1")
        for one in found.values():
            one["frames"] = [f"{int(frame) + 20:05d}" for frame in one["frames"]]

    edit(copy, move)
    video = open_ytvos(copy).videos[1]
    assert {one.number: one.first for one in video.objects}[9] == 0
    assert [path.name for path in video.masks] == ["00020.png", "00025.png", "00030.png", "00035.png"]


def test_names_and_what_is_official(copy, drawn, bare, monkeypatch):
    assert open_ytvos(copy).name == "ytvos2018-valid (3 videos)"
    assert open_ytvos(copy, "train").name == "ytvos2018-train (2 videos)"
    count = sum(len(video.objects) for video in open_ytvos(copy).videos)
    monkeypatch.setitem(OFFICIAL, "valid", (3, count))
    assert (open_ytvos(copy).official, open_ytvos(copy).name) == (True, "ytvos2018-valid")
    assert not open_ytvos(drawn).official
    monkeypatch.setitem(OFFICIAL, "valid", (3, count + 1))
    assert not open_ytvos(copy).official


def test_masks_alone_are_enough_to_score(copy):
    shutil.rmtree(copy / "valid/JPEGImages")
    video = open_ytvos(copy, need_frames=False).videos[1]
    assert (video.frames, len(video.masks), video.size, video.scored) == ((), 4, (96, 128), (1, 2, 3))
    with pytest.raises(UserError, match="lacks valid/JPEGImages"):
        open_ytvos(copy)


def test_categories_are_needed_for_scoring_alone(copy, bare, tmp_path):
    nameless = shutil.copytree(bare, tmp_path / "nameless")
    shutil.rmtree(nameless / "train")
    edit(nameless, lambda videos: videos["drawn-01"]["objects"]["1"].pop("category"))
    assert not open_ytvos(nameless).has_truth
    edit(copy, lambda videos: videos["drawn-01"]["objects"]["1"].pop("category"))
    with pytest.raises(UserError, match="video drawn-01, object 1 has no category"):
        open_ytvos(copy)
    (copy / "train/meta.json").unlink()
    with pytest.raises(UserError, match=r"train/meta.json is missing: which categories are seen"):
        open_ytvos(copy)


def write(text):
    return lambda path: path.write_text(text)


def video(content):
    return write(json.dumps({"videos": {"drawn-01": content}}))


def listed(**one):
    return video({"objects": {"1": {"category": "disc", "frames": ["00000"]} | one}})


DAMAGE = {  # what is broken -> where, how, the file that is named, and what is said of it
    "no meta.json": (META, lambda p: p.unlink(), META, "is missing: it names the videos"),
    "meta.json is a folder": (META, lambda p: (p.unlink(), p.mkdir()), META, "it is a folder"),
    "half of meta.json": (META, lambda p: p.write_text(p.read_text()[:200]), META, "is no JSON"),
    "deep meta.json": (META, write("[" * 100_000), META, "is no JSON"),
    "meta.json is a list": (META, write("[]"), META, "has no 'videos'"),
    "a video twice": (META, lambda p: p.write_text(p.read_text().replace('"videos": {', '"videos": {"drawn-01": {"objects": {}},', 1)), META, "is no JSON ('drawn-01' stands there twice)"),
    "no video": (META, write('{"videos": {}}'), META, "lists no video"),
    "a video elsewhere": (META, write('{"videos": {"../x": {}}}'), META, "cannot be the name of a video"),
    "a video that is not there": (META, write('{"videos": {"x": {"objects": {"1": {"frames": ["0"]}}}}}'), "valid/JPEGImages/x", "holds no frames"),
    "no objects": (META, video({}), META, "video drawn-01 has no 'objects'"),
    "no object": (META, video({"objects": {}}), META, "video drawn-01 has no object"),
    "an object's number": (META, video({"objects": {"0": {}}}), META, "'0' is no number of an object"),
    "a large number": (META, video({"objects": {"256": {}}}), META, "'256' is no number of an object"),
    "no frames listed": (META, listed(frames=[]), META, "object 1 lists no frames"),
    "a frame that is none": (META, listed(frames=[5]), META, "5 is no frame"),
    "a category that is none": (META, listed(category="a\x1b[2J"), META, "is no category"),
    "an object without a mask": (META, lambda p: edit(p.parents[1], lambda v: v["drawn-01"]["objects"].update({"9": {"category": "disc", "frames": ["00005"]}})), MASKS, "holds no mask of object 9"),
    "an object before it is listed": (META, lambda p: edit(p.parents[1], lambda v: v["drawn-01"]["objects"]["1"]["frames"].pop(0)), f"{MASKS}/00000.png", "shows object 1, which meta.json lists from frame 00005"),
    "an object that is not listed": (META, lambda p: edit(p.parents[1], lambda v: v["drawn-01"]["objects"].pop("1")), f"{MASKS}/00000.png", "holds the values 1"),
    "a listed frame": (f"{FRAMES}/00010.jpg", lambda p: p.unlink(), f"{FRAMES}/00010.jpg", "is missing"),
    "no frames": (FRAMES, shutil.rmtree, FRAMES, "holds no frames"),
    "no masks": (MASKS, shutil.rmtree, MASKS, "holds no masks"),
    "one of all masks": (f"{MASKS}/00015.png", lambda p: p.unlink(), f"{MASKS}/00015.png", "ground truth has to be whole"),
    "frame's size": (f"{FRAMES}/00010.jpg", lambda p: Image.open(p).resize((40, 30)).save(p), f"{FRAMES}/00010.jpg", "40x30"),
    "mask's size": (f"{MASKS}/00010.png", lambda p: Image.open(p).resize((40, 30)).save(p), f"{MASKS}/00010.png", "40x30"),
    "colors": (f"{MASKS}/00010.png", lambda p: Image.open(p).convert("RGB").save(p), f"{MASKS}/00010.png", "mode RGB"),
    "no picture": (f"{FRAMES}/00010.jpg", write("text"), f"{FRAMES}/00010.jpg", "cannot be read"),
    "half a mask": (f"{MASKS}/00000.png", lambda p: p.write_bytes(p.read_bytes()[:-40]), f"{MASKS}/00000.png", "cut off"),
    "one number twice": (f"{FRAMES}/00010.jpg", lambda p: shutil.copy(p, p.with_name("10.jpg")), FRAMES, "number 10"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "damage", "named", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused_by_name(place, damage, named, reason, copy):
    damage(copy / place)
    with pytest.raises(UserError) as refused:
        open_ytvos(copy)
    assert str(copy / named) in str(refused.value)
    assert reason in str(refused.value)


def test_a_lost_first_mask_is_missed_where_there_is_no_truth(bare, tmp_path):
    root = shutil.copytree(bare, tmp_path / "copy")
    one = max(open_ytvos(root).videos[1].objects, key=lambda one: one.first)
    (root / MASKS / f"{5 * one.first:05d}.png").unlink()
    with pytest.raises(UserError, match=f"holds no mask of object {one.number}") as refused:
        open_ytvos(root)
    assert str(root / MASKS) in str(refused.value)


@pytest.mark.parametrize("split", ["test", "", "..", "../valid", "x" * 300, "val\0"])
def test_a_split_is_a_folder_that_is_there(copy, split):
    with pytest.raises(UserError, match=r"--split|lacks test/JPEGImages"):
        open_ytvos(copy, split)


def test_wrong_folders(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        open_ytvos(tmp_path / "nowhere")
    with pytest.raises(UserError, match="found there: nothing"):
        open_ytvos(tmp_path)
