"""A small drawn data set, and one finished run on it, for the tests in this folder."""

import shutil

import pytest

from eval.__main__ import main

CHECKPOINT = "random:vit_micro/16"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Two drawn sequences of four frames, with void between the objects. Not to be changed: see `copy`."""
    root = tmp_path_factory.mktemp("davis") / "data"
    size = ["--sequences", "2", "--train-sequences", "0", "--frames", "4", "--height", "120", "--width", "160"]
    assert main(["data", "synthesize", "davis", str(root), "--void", *size]) == 0
    return root


@pytest.fixture
def copy(drawn, tmp_path):
    """A copy of the drawn data that a test may damage."""
    return shutil.copytree(drawn, tmp_path / "data")


@pytest.fixture(scope="session")
def finished(drawn, tmp_path_factory):
    """The output of a run on the drawn data. Not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert main(["davis", "--checkpoint", CHECKPOINT, "--data", str(drawn), "--out", str(out), "--overlay"]) == 0
    return out
