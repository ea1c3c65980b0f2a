"""DAVIS 2016: lists of frames and masks, one object, masks of 0 and 255; the computation is that of DAVIS 2017."""

import shutil

import numpy as np
import pytest
from PIL import Image

from eval.__main__ import main
from eval.davis.dataset import open_dataset
from results.store import read_record

CHECKPOINT = "random:vit_micro/16"


def as_2016(root):
    """Turn a drawn copy of DAVIS 2017 into one of 2016, all objects being one; returns the lines of its list."""
    lines = []
    for path in sorted((root / "Annotations/480p").rglob("*.png")):
        index = np.asarray(Image.open(path))
        Image.fromarray(np.where((index > 0) & (index < 255), 255, 0).astype(np.uint8)).save(path)
        name = f"{path.parent.name}/{path.stem}"
        lines.append(f"/JPEGImages/480p/{name}.jpg /Annotations/480p/{name}.png ")
    shutil.rmtree(root / "ImageSets")
    (root / "ImageSets/480p").mkdir(parents=True)
    (root / "ImageSets/480p/val.txt").write_text("\n".join(lines))
    (root / "dataset.json").unlink()
    return lines


@pytest.fixture
def both(copy, tmp_path):
    """The same one-object clips in both layouts."""
    as_2016(copy)
    other = shutil.copytree(copy, tmp_path / "as2017")
    shutil.rmtree(other / "ImageSets/480p")
    (other / "ImageSets/2017").mkdir()
    (other / "ImageSets/2017/val.txt").write_text(
        "\n".join(p.name for p in sorted((copy / "JPEGImages/480p").iterdir()))
    )
    for path in (other / "Annotations/480p").rglob("*.png"):
        image = Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8))
        image.putpalette([0, 0, 0, 255, 255, 255] + [0] * 762)
        image.save(path)
    return copy, other


def davis(data, out, *arguments):
    return main(["davis", "--checkpoint", CHECKPOINT, "--data", str(data), "--out", str(out), *arguments])


def test_the_same_clips_score_alike_in_both_layouts(both, tmp_path, capsys):
    for root, year in zip(both, ("2016", "2017")):
        assert davis(root, tmp_path / year) == 0
    ours, others = (read_record(tmp_path / year / "record.json") for year in ("2016", "2017"))
    assert ours.protocol == "davis2016/dino@1"
    assert others.protocol == "davis2017/dino@1"
    assert ours.dataset.name == "davis2016-val (2 sequences)"
    assert ours.metrics == others.metrics
    mask = np.asarray(Image.open(next((tmp_path / "2016/predictions").rglob("00002.png"))))
    assert set(np.unique(mask)) <= {0, 255}
    assert main(["data", "verify", "davis", str(both[0])]) == 0
    assert "20 official val sequences are missing: blackswan" in capsys.readouterr().out


def test_masks_of_0_and_1_or_255_are_the_same_prediction(both, tmp_path):
    davis(both[0], tmp_path / "run")
    predictions = shutil.copytree(tmp_path / "run/predictions", tmp_path / "ones")
    for path in predictions.rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    again = ["davis", "--score-only", "--predictions", str(predictions), "--data", str(both[0])]
    assert main([*again, "--out", str(tmp_path / "scored")]) == 0
    records = [read_record(tmp_path / name / "record.json") for name in ("run", "scored")]
    assert records[0].metrics == records[1].metrics
    assert records[1].protocol == "davis2016/semi-supervised@1"


def test_a_list_may_name_a_part_of_the_frames(copy):
    lines = as_2016(copy)
    (copy / "ImageSets/480p/val.txt").write_text("\n".join(lines[:3]))
    (video,) = open_dataset(copy).videos
    assert [path.stem for path in video.frames] == ["00000", "00001", "00002"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: (root / "ImageSets/480p/val.txt").write_text("blackswan\n"),
            "line 1: 'blackswan' is not a frame",
        ),
        (lambda root: (root / "ImageSets/480p/val.txt").write_text("\n"), "lists no sequence; expected one frame"),
        (lambda root: (root / "ImageSets/2017").mkdir(), "Keep each in its own folder"),
        (lambda root: next((root / "JPEGImages").rglob("00001.jpg")).unlink(), "00001.jpg is missing"),
        (lambda root: next((root / "Annotations").rglob("00003.png")).unlink(), "00003.png is missing"),
        (lambda root: paint(root, 7), "holds the values 7; masks of DAVIS 2016 are 0"),
        (lambda root: paint(root, 255, "RGB"), "is a picture of mode RGB, not a gray one"),
    ],
)
def test_what_is_wrong_is_named(copy, tmp_path, capsys, damage, message):
    as_2016(copy)
    damage(copy)
    assert davis(copy, tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert main(["data", "verify", "davis", str(copy)]) == 2


def paint(root, value, mode="L"):
    path = sorted((root / "Annotations").rglob("00000.png"))[0]
    mask = np.asarray(Image.open(path)).copy()
    mask[:4, :4] = value
    Image.fromarray(mask).convert(mode).save(path)


def test_real_clips(data_dir, tmp_path):
    if not (data_dir / "davis2016").is_dir():
        pytest.skip(f"real data absent: {data_dir / 'davis2016'}")
    dataset = open_dataset(data_dir / "davis2016", "train")
    assert len(dataset.videos) == 16
    assert all(len(video.frames) in (25, 30) for video in dataset.videos)
    video = dataset.videos[0]
    assert set(np.unique(video.edition.read_truth(video.masks[0]))) == {0, 1}
    assert not dataset.official
