"""Fixtures shared by all tests: where the small real data lie. `support.reference` finds the reference cases."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The small real data ($FLSL_DATA_DIR), or a skip that says so."""
    path = Path(os.environ.get("FLSL_DATA_DIR", ROOT.parent / "shared" / "data")).resolve()
    if not path.is_dir():
        pytest.skip(f"small real data absent: {path} (set FLSL_DATA_DIR to the folder to run this test)")
    return path
