"""Folders that cannot be written to, disks that are full, and folders of links, in pretraining and every evaluation."""

import os
import shutil

import cv2
import numpy as np
import pytest

from eval.__main__ import main as evaluate
from eval.data.synthesize import synthesize
from pretrain.__main__ import main as pretrain
from pretrain.dataset import find_images

SIZES = {
    "davis": {"sequences": 1, "train_sequences": 0, "frames": 3, "height": 192, "width": 256},
    "coco": {"count": 3, "val_count": 3, "height": 64, "width": 64},
    "uavdt": {"sequences": 1, "train_sequences": 1, "frames": 2, "height": 64, "width": 96},
    "images": {"count": 4, "classes": 2, "height": 32, "width": 32},
}
SMALL = (
    "training.iterations=1",
    "training.batch=2",
    "model.fpn_channels=16",
    "model.fc_channels=16",
    "model.mask_channels=16",
    "model.mask_convs=1",
    "images.scale_jitter=None",
    "images.crop=False",
    "images.train_short_sides=(64,)",
    "images.test_short_side=64",
    "images.longest_side=96",
)
RECIPE = """
encoder = dict(architecture="custom", patch_size=8, image_size=32, embed_dim=32, depth=2, num_heads=2)
head = dict(centroids=16, hidden_dim=32, bottleneck_dim=16)
views = dict(global_size=32, local_size=16, n_local=1)
training = dict(epochs=2, batch_size=2, precision="fp32")
runtime = dict(workers=0, log_every=1)
"""
PROGRAMS = ("davis", "knn", "coco", "uavdt", "pretrain")
WRONG = {  # --out -> what the message says
    "file": "File exists",
    "file/below": "Not a directory",
    "/proc/nowhere": "No such file or directory",
    "pipe": "File exists",
    "loop": "File exists",
    "x" * 300: "File name too long",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn data of every kind and a recipe of pretraining. Not to be changed."""
    root = tmp_path_factory.mktemp("data")
    for benchmark, sizes in SIZES.items():
        synthesize(benchmark, root / benchmark, 0, **sizes)
    (root / "recipe.py").write_text(RECIPE)
    return root


def words(program, data, out):
    """The program's command line."""
    if program == "pretrain":
        return [str(data / "recipe.py"), "--data", str(data / "images"), "--out", str(out), "--device", "cpu"]
    found = [program, "--data", str(data / ("coco" if program == "knn" else program)), "--out", str(out)]
    found += ["--checkpoint", "random:vit_micro/16", "--device", "cpu"]
    if program in ("coco", "uavdt"):
        recipe = {"coco": "configs/coco/mask-rcnn_smoke.py", "uavdt": "configs/uavdt/faster-rcnn_smoke.py"}[program]
        found += ["--config", recipe, *(word for change in SMALL for word in ("--set", change))]
    return found


def run(program, data, out):
    arguments = words(program, data, out)
    return pretrain(arguments) if program == "pretrain" else evaluate(arguments)


@pytest.mark.parametrize("place", WRONG, ids=lambda place: place[:20])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_place_that_is_no_folder_to_write_to_is_refused(program, place, data, refused, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    out = tmp_path / place
    package = "pretrain" if program == "pretrain" else "eval"
    refused(package, words(program, data, out), [f"--out {out} cannot be used: {WRONG[place]}. Name a folder"])


FULL = [  # program, bytes that fit in a file, what is named, what stays
    ("davis", 200, "run.json", []),
    ("davis", 1150, "00000.png", ["config.py"]),
    ("davis", 3000, "overlay.png", ["objects.csv", "predictions/drawn-00/00002.png"]),
    ("knn", 200, "run.json", []),
    ("knn", 900, "predictions.npz", ["run.json"]),
    ("knn", 3000, "record.json", ["predictions.npz"]),
    ("coco", 1900, "run.json", []),
    ("coco", 3000, "mmdet_config.py", ["config.py", "run.json"]),
    ("coco", 10_000, "train: File too large", ["mmdet_config.py"]),
    ("coco", 1_000_000, "detector.safetensors", ["config.py", "mmdet_config.py"]),
    ("uavdt", 1900, "run.json", []),
    ("uavdt", 3000, "annotations", ["run.json"]),
    ("uavdt", 1_000_000, "detector.safetensors", ["config.py", "mmdet_config.py"]),
    ("pretrain", 1000, "run.json", []),
    ("pretrain", 100_000, "encoder.safetensors", ["log.jsonl", "config.py"]),
    ("pretrain", 300_000, "step_00000004.pt", ["encoder.safetensors"]),
]


@pytest.mark.parametrize(("program", "size", "named", "stays"), FULL, ids=str)
def test_a_full_disk_is_one_error_and_what_was_computed_stays(program, size, named, stays, data, tmp_path, capfd, room):
    out = tmp_path / "out"
    room(size)
    code = run(program, data, out)
    room()
    err = capfd.readouterr().err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert len(errors) == 1
    assert named in errors[0]
    assert "Traceback" not in err
    assert [name for name in stays if not (out / name).is_file()] == []
    assert not list(out.rglob(".*.tmp-*"))
    assert not (out / "record.json").exists()


@pytest.mark.parametrize("program", ["davis", "knn", "pretrain"])
def test_the_same_command_ends_well_once_there_is_room(program, data, tmp_path, room):
    out = tmp_path / "out"
    room({"davis": 3000, "knn": 3000, "pretrain": 300_000}[program])
    assert run(program, data, out) == 2
    room()
    assert run(program, data, out) == 0
    assert (out / ("encoder.safetensors" if program == "pretrain" else "record.json")).is_file()


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((40, 40, 3), np.uint8))


def test_folders_of_links_hold_images(data, tmp_path, capsys):
    """A folder of linked folders and linked files, as data sets on several disks are."""
    draw(tmp_path / "disk1/a/0.png")
    draw(tmp_path / "disk2/1.PNG")
    (tmp_path / "set/train").mkdir(parents=True)
    (tmp_path / "set/train/a").symlink_to(tmp_path / "disk1/a")
    (tmp_path / "set/train/b").symlink_to(tmp_path / "disk2", target_is_directory=True)
    (tmp_path / "set/train/2.png").symlink_to(tmp_path / "disk1/a/0.png")
    names = ["2.png", "a/0.png", "b/1.PNG"]
    assert find_images(tmp_path / "set") == [tmp_path / "set/train" / name for name in names]
    (tmp_path / "linked").symlink_to(tmp_path / "set")
    assert find_images(tmp_path / "linked") == [tmp_path / "linked/train" / name for name in names]
    assert capsys.readouterr().err == ""
    assert run("pretrain", data, tmp_path / "out") == 0


def test_what_macos_leaves_beside_pictures_is_no_picture(data, tmp_path):
    """A file of a picture's name after `._`, on every disk of another kind."""
    root = shutil.copytree(data / "images", tmp_path / "images")
    before = find_images(root)
    for path in before:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7" + bytes(60))
    assert find_images(root) == before


LOOPS = {  # links, and the images that are found
    "to itself": {"a/again": "."},
    "to the folder above": {"a/up": ".."},
    "to each other": {"a/b": "../b", "b/a": "../a"},
    "twice to one folder": {"x": "a", "y": "a"},
}


@pytest.mark.parametrize("links", LOOPS.values(), ids=LOOPS.keys())
def test_a_folder_that_is_reached_again_counts_once(links, tmp_path, capsys):
    for name in ("a/0.png", "b/1.png"):
        draw(tmp_path / name)
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    assert [path.resolve().relative_to(tmp_path).as_posix() for path in find_images(tmp_path)] == ["a/0.png", "b/1.png"]
    assert "once more, and counts once" in capsys.readouterr().err


def test_a_web_of_links_does_not_hang(tmp_path):
    for name in range(30):
        draw(tmp_path / f"{name}/0.png")
    for name in range(30):
        for other in range(30):
            (tmp_path / f"{name}/to{other}").symlink_to(f"../{other}")
    assert len(find_images(tmp_path)) == 30


@pytest.mark.parametrize("target", ["nowhere.png", "broken.png"])
def test_a_link_to_nothing_is_named(target, data, refused, tmp_path):
    shutil.copytree(data / "images", tmp_path / "images")
    (tmp_path / "images/train/broken.png").symlink_to(target)
    arguments = [data / "recipe.py", "--data", tmp_path / "images", "--out", tmp_path / "out", "--device", "cpu"]
    refused("pretrain", arguments, [str(tmp_path / "images/train/broken.png"), "cannot be read"])


def test_knn_follows_linked_folders_of_images_and_boxes(tmp_path):
    from eval.knn.data import read_box_data

    box = "<object><name>n1</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object>"
    for split in ("train", "val"):
        draw(tmp_path / f"disk/{split}/n1/{split}_1.jpg")
        folder = tmp_path / f"boxes/{split}/n1"
        folder.mkdir(parents=True)
        (folder / f"{split}_1.xml").write_text(f"<annotation>{box}</annotation>")
        for place, source in (
            (f"set/{split}/n1", f"disk/{split}/n1"),
            (f"set/Annotations/CLS-LOC/{split}/n1", f"boxes/{split}/n1"),
        ):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).symlink_to(tmp_path / source)
    found = read_box_data(tmp_path / "set")
    assert [len(found.train), len(found.val)] == [1, 1]
    assert found.val[0].path == tmp_path / "set/val/n1/val_1.jpg"
