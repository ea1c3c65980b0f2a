"""Bad input: exit code 2 and one paragraph that names the file."""

import importlib.util
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from eval.__main__ import main
from eval.davis.dataset import open_dataset

FRAMES, MASKS = "JPEGImages/480p/drawn-01", "Annotations/480p/drawn-01"


def fails(capsys, data, out, *more):
    """Run on bad data; returns the message."""
    code = main(["davis", "--checkpoint", "random:vit_micro/16", "--data", str(data), "--out", str(out), *more])
    message = capsys.readouterr().err
    assert code == 2, message
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


def test_a_split_is_one_of_the_lists(capsys, drawn, tmp_path):
    for split in ("../2017/val", "x" * 300, ""):
        said = fails(capsys, drawn, tmp_path / "out", "--split", split)
        assert "is missing: it lists the sequences of the split. Lists found: " in said


def recolor(path):
    Image.open(path).convert("RGB").save(path)


def shrink(path):
    with Image.open(path) as image:
        small = image.resize((80, 60))
    small.save(path)


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def huge(path):
    """A few bytes that announce 3.6 thousand million pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 3, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")))


def empty_mask(path):
    with Image.open(path) as image:
        blank = Image.new("P", image.size)
        blank.putpalette(image.getpalette())
    blank.save(path)


DAMAGE = {
    "missing first annotation": (f"{MASKS}/00000.png", lambda path: path.unlink(), "first annotation"),
    "missing annotation": (f"{MASKS}/00002.png", lambda path: path.unlink(), "every frame needs one"),
    "gap in the frames": (f"{FRAMES}/00002.jpg", lambda path: path.unlink(), "gap"),
    "no frames": (FRAMES, shutil.rmtree, "no frames"),
    "half a JPEG": (f"{FRAMES}/00001.jpg", halve, "cut off"),
    "no JPEG": (f"{FRAMES}/00001.jpg", lambda path: path.write_bytes(b"text"), "cannot be read"),
    "half a PNG": (f"{MASKS}/00000.png", halve, "cannot be read"),
    "mask of another size": (f"{MASKS}/00001.png", shrink, "80x60"),
    "frame of another size": (f"{FRAMES}/00003.jpg", shrink, "80x60"),
    "RGB mask": (f"{MASKS}/00001.png", recolor, "palette"),
    "huge mask": (f"{MASKS}/00001.png", huge, "pixels"),
    "huge frame": (f"{FRAMES}/00001.jpg", huge, "pixels"),
    "no object": (f"{MASKS}/00000.png", empty_mask, "no object"),
    "no list": ("ImageSets/2017/val.txt", lambda path: path.unlink(), "lists the sequences"),
    "empty list": ("ImageSets/2017/val.txt", lambda path: path.write_text("\n"), "no sequence"),
}


@pytest.mark.parametrize(("name", "damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_data(name, damage, reason, copy, tmp_path, capsys):
    damage(copy / name)
    message = fails(capsys, copy, tmp_path / "out", "--videos", "drawn-01")
    assert str(copy / name) in message
    assert reason in message


def test_files_with_other_names_than_frames_have_are_none(copy, drawn):
    """00001.jpg and 1.jpg are not two of one number: the later one was taken without a word."""
    for folder, suffix in ((FRAMES, "jpg"), (MASKS, "png")):
        shutil.copy(copy / folder / f"00003.{suffix}", copy / folder / f"1.{suffix}")
    ours, theirs = (open_dataset(root).videos[1] for root in (copy, drawn))
    assert [path.name for path in ours.frames] == [path.name for path in theirs.frames]
    assert [path.name for path in ours.masks] == [path.name for path in theirs.masks]


def test_wrong_and_empty_folders(tmp_path, capsys):
    assert str(tmp_path / "nowhere") in fails(capsys, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "found there: nothing" in fails(capsys, tmp_path / "empty", tmp_path / "out")


def test_two_annotated_frames_are_too_few(copy, tmp_path, capsys):
    for number in (2, 3):
        (copy / FRAMES / f"{number:05d}.jpg").unlink()
        (copy / MASKS / f"{number:05d}.png").unlink()
    assert "three or more" in fails(capsys, copy, tmp_path / "out")


@pytest.mark.parametrize("protocol", ["dino", "dinov3", "videowalk"])
def test_frames_of_extreme_shape_are_refused_before_they_fill_the_memory(protocol, copy, tmp_path, capsys):
    """Protocols that keep the shape make 72000x480 pixels of 600x4, or twice as many of each side."""
    for path in (*(copy / FRAMES).iterdir(), *(copy / MASKS).iterdir()):
        with Image.open(path) as image:
            thin = image.resize((600, 4))
        thin.save(path)
    said = fails(capsys, copy, tmp_path / "out", "--protocol", protocol)
    assert "frames of drawn-01 are 600x4 pixels" in said
    assert "more than 16 times as long as wide" in said
    assert not (tmp_path / "out").exists()


def test_misspelt_names(drawn, tmp_path, capsys):
    assert "Did you mean 'drawn-01'" in fails(capsys, drawn, tmp_path, "--videos", "drwan-01")
    assert "Did you mean 'dino'" in fails(capsys, drawn, tmp_path, "--protocol", "dinno")
    assert "limit must be at least 1, but is 0" in fails(capsys, drawn, tmp_path, "--limit", "0")
    assert "train.txt" in fails(capsys, drawn, tmp_path, "--split", "train")


def test_missing_arguments(drawn, tmp_path, capsys):
    assert main(["davis", "--data", str(drawn), "--out", str(tmp_path)]) == 2
    assert "--checkpoint is missing" in capsys.readouterr().err
    assert main(["davis", "--data", str(drawn), "--checkpoint", "random:vit_micro/16"]) == 2
    assert "--out is missing" in capsys.readouterr().err
    assert "--score-only" in fails(capsys, drawn, tmp_path, "--predictions", str(tmp_path))


PREDICTED = {
    "unknown id": (lambda path: rewrite(path, 9), "object id 9"),
    "void": (lambda path: rewrite(path, 255), "object id 255"),
    "missing": (lambda path: path.unlink(), "missing"),
    "another size": (shrink, "80x60"),
    "RGB": (recolor, "mode RGB"),
    "half a file": (halve, "cannot be read"),
}


def rewrite(path, number):
    with Image.open(path) as image:
        palette, mask = image.getpalette(), np.array(image)
    mask[3, 5] = number
    image = Image.fromarray(mask)
    image.putpalette(palette)
    image.save(path)


@pytest.mark.parametrize(("damage", "reason"), PREDICTED.values(), ids=PREDICTED)
def test_bad_predictions(damage, reason, drawn, finished, tmp_path, capsys):
    masks = shutil.copytree(finished / "predictions", tmp_path / "masks")
    damage(masks / "drawn-01" / "00002.png")
    message = fails(capsys, drawn, tmp_path / "out", "--score-only", "--predictions", str(masks))
    assert str(masks / "drawn-01" / "00002.png") in message
    assert reason in message


def test_official_backend_that_is_not_installed(drawn, finished, tmp_path, capsys):
    if importlib.util.find_spec("davis2017"):
        pytest.skip("the davis2017 package is installed")
    saved = ["--score-only", "--predictions", str(finished / "predictions")]
    message = fails(capsys, drawn, tmp_path, *saved, "--metric-backend", "official")
    assert "davis2017-evaluation" in message


NAMES = ("../../states", "../../../../out/predictions/drawn-00", "/etc", "..", ".", "drawn-00/../..", "C:\\x", "a/b")


@pytest.mark.parametrize("name", [*NAMES, "{root}/Annotations/480p/drawn-00"])
def test_a_listed_name_never_leads_out_of_its_folder(copy, tmp_path, capsys, name):
    """Such a name took the ground truth for predictions, or made other folders' files this run's own."""
    out = tmp_path / "out"
    (out / "states").mkdir(parents=True)
    (out / "states" / "kept.txt").write_text("precious")
    name = name.format(root=copy)
    (copy / "ImageSets/2017/val.txt").write_text(f"drawn-00\n{name}\n")
    before = sorted(tmp_path.rglob("*"))
    for more in ((), ("--score-only", "--predictions", str(out))):
        message = fails(capsys, copy, out, *more)
        assert "val.txt" in message
        assert ascii(name)[:20] in message
        assert "cannot be the name of a sequence" in message
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["data", "verify", "davis", str(copy)]) == 2
    assert "cannot be the name of a sequence" in capsys.readouterr().out
