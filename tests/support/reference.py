"""The reference cases: outputs of the public implementations, in a folder that $FLSL_REFERENCE_ROOT names.

Tests take their parameters from the folder as it is when they are collected, so a file that is added to it is run.
Copies that the repository keeps beside a test run everywhere; a file of the same name in the folder takes their place.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("FLSL_REFERENCE_ROOT") or REPOSITORY.parent / "shared" / "reference").resolve()


def reference_files(pattern: str, kept: Path | None = None, other_than: tuple[str, ...] = ()) -> list[Any]:
    """Return the case files as parameters of a test that takes one `path`.

    Args:
        pattern: glob below the folder of reference cases, such as `davis/metrics*.npz`.
        kept: folder of copies in the repository, searched for the last part of `pattern`.
        other_than: beginnings of names that other tests read.
    """
    found = {path.name: path for path in sorted(kept.glob(Path(pattern).name))} if kept else {}
    found |= {path.name: path for path in sorted(REFERENCE.glob(pattern))}
    files = [pytest.param(path, id=path.stem) for name, path in found.items() if not name.startswith(other_than)]
    if not REFERENCE.is_dir():
        reason = f"reference cases absent: {REFERENCE} (set FLSL_REFERENCE_ROOT to their folder)"
        files.append(pytest.param(None, id="folder", marks=pytest.mark.skip(reason)))
    elif not files:
        files.append(pytest.param(None, id="none", marks=pytest.mark.skip(f"no {pattern} in {REFERENCE}")))
    return files


def read_case(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a case file, and what its `config` says."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return arrays, json.loads(str(arrays.pop("config", "{}")))
