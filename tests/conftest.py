"""Fixtures shared by all tests: where the reference cases and the small real data lie."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / default)).resolve()
    if not path.is_dir():
        pytest.skip(f"{variable} absent: {path} (set {variable} to the folder to run this test)")
    return path


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """The numeric reference cases ($FLSL_REFERENCE_ROOT), or a skip that says so."""
    return _folder("FLSL_REFERENCE_ROOT", "reference")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The small real data ($FLSL_DATA_DIR), or a skip that says so."""
    return _folder("FLSL_DATA_DIR", "data")
