"""Small drawn videos with objects that appear later, with ground truth and without, and a finished run on each."""

import shutil

import pytest

from eval.__main__ import main
from eval.data.synthesize import synthesize

CHECKPOINT = "random:vit_micro/32"
SIZES = {"videos": 3, "train_videos": 2, "frames": 4, "height": 96, "width": 128}


def draw(root, **more):
    synthesize("ytvos", root, **(SIZES | more))
    return root


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Three drawn videos of four frames with all masks. Not to be changed: see `copy`."""
    return draw(tmp_path_factory.mktemp("ytvos") / "data")


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """The same with masks of objects' first frames alone, as the official validation split. Not to be changed."""
    return draw(tmp_path_factory.mktemp("bare") / "data", given_only=True)


@pytest.fixture
def copy(drawn, tmp_path):
    """A copy of the drawn data to break, without the marker."""
    root = shutil.copytree(drawn, tmp_path / "copy")
    (root / "dataset.json").unlink()
    return root


@pytest.fixture(scope="session")
def run():
    """`run(data, out, words...) -> exit code`."""

    def run(data, out, *more, checkpoint=CHECKPOINT):
        named = ["--checkpoint", checkpoint] if checkpoint else []
        return main(["ytvos", *named, "--data", str(data), "--out", str(out), *more])

    return run


@pytest.fixture(scope="session")
def finished(drawn, run, tmp_path_factory):
    """A finished run with scores. Not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert run(drawn, out) == 0
    return out


@pytest.fixture(scope="session")
def unscored(bare, run, tmp_path_factory):
    """A finished run on data without ground truth. Not to be changed."""
    out = tmp_path_factory.mktemp("unscored") / "out"
    assert run(bare, out) == 0
    return out
