"""Fixtures shared by all tests: where the small real data lie, and on which device to compute.

`support.reference` finds the reference cases. `pytest --device cuda` runs the tests that take `device`, and no others.
"""

import os
import re
import resource
from pathlib import Path

import pytest

from flsl.runtime.device import choose_device
from flsl.runtime.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
LONG = {ROOT / "tests" / name for name in ("test_readme.py", "pretrain/test_data_parallel.py", "pretrain/test_run.py")}
TAKES_DEVICE = re.compile(r"^def test_\w+\([^)]*\bdevice\b", re.M)


def pytest_addoption(parser):
    parser.addoption("--device", default=None, help="run the tests that take a device on this one: cpu, cuda, cuda:1")


def pytest_configure(config):
    if name := config.getoption("--device"):
        try:
            choose_device(name)
        except UserError as error:
            pytest.exit(str(error), returncode=2)


def pytest_ignore_collect(collection_path, config):
    """With --device, leave files alone that have no test for it: what they import may not be installed."""
    if config.getoption("--device") and collection_path.name.startswith("test_"):
        return True if not TAKES_DEVICE.search(collection_path.read_text()) else None
    return None


def pytest_collection_modifyitems(config, items):
    # Files that take longest come first, so that no process is left with one at the end.
    items.sort(key=lambda item: not item.path.is_relative_to(ROOT / "tests/hostile") and item.path not in LONG)
    if config.getoption("--device"):
        others = [item for item in items if "device" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
def device(request):
    """Where a test computes: the CPU, or what --device names."""
    return choose_device(request.config.getoption("--device") or "cpu")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The small real data ($FLSL_DATA_DIR), or a skip that says so."""
    path = Path(os.environ.get("FLSL_DATA_DIR", ROOT.parent / "shared" / "data")).resolve()
    if not path.is_dir():
        pytest.skip(f"small real data absent: {path} (set FLSL_DATA_DIR to the folder to run this test)")
    return path


@pytest.fixture
def room():
    """A function that bounds the size of files, as a disk that is nearly full does; without a number it no longer does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size=soft):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield limit
    limit()
