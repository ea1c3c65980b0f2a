"""A tiny recipe and a few images, so that a whole run takes seconds."""

import pytest
import torch
from support.pretrain_run import RECIPE, draw_images, run


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """An ImageFolder of 14 smooth random pictures."""
    return draw_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def one_thread():
    """This process computes by one thread, as those that the tests start (another number rounds otherwise), and gives the rest back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def finished(recipe_file, images, tmp_path, one_thread):
    """The folder of a finished run of 6 steps."""
    assert run(recipe_file, images, tmp_path / "run") == 0
    return tmp_path / "run"
