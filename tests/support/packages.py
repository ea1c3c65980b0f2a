"""Packages that a machine need not have."""

import importlib.util

import pytest


def need(*packages: str) -> None:
    """Skip the test file that calls this, above its other imports, where a package is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed", allow_module_level=True)
