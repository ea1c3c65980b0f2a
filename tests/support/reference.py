"""The reference cases: outputs of the public implementations, in a folder that $FLSL_REFERENCE_ROOT names.

Tests take their parameters from the folder as it is when they are collected, so a file that is added to it is run.
Copies that the repository keeps beside a test run everywhere; a file of the same name in the folder takes their place.
"""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("FLSL_REFERENCE_ROOT") or REPOSITORY.parent / "shared" / "reference").resolve()


def reference_files(pattern: str, kept: Path | None = None, holding: str = "") -> list[Any]:
    """Return the case files as parameters of a test that takes one `path`.

    Args:
        pattern: glob below the folder of reference cases, such as `davis/*.npz`.
        kept: folder of copies in the repository, searched for the last part of `pattern`.
        holding: beginning or end of an array's name that tells this kind of case from others, whatever the file's name.
    """
    found = sorted(REFERENCE.glob(pattern))
    replaced = {path.name for path in found}
    copies = sorted(kept.glob(Path(pattern).name)) if kept else []
    found = [path for path in copies if path.name not in replaced] + found
    files = [pytest.param(path, id=path.stem) for path in found if _holds(path, holding)]
    if not REFERENCE.is_dir():
        reason = f"reference cases absent: {REFERENCE} (set FLSL_REFERENCE_ROOT to their folder)"
        files.append(pytest.param(None, id="folder", marks=pytest.mark.skip(reason)))
    elif not files:
        reason = f"no {pattern} with {holding} in {REFERENCE}" if holding else f"no {pattern} in {REFERENCE}"
        files.append(pytest.param(None, id="none", marks=pytest.mark.skip(reason)))
    return files


def _holds(path: Path, part: str) -> bool:
    if not part:
        return True
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    return any(name.startswith(part) or name.endswith(part) for name in names)


def read_case(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a case file, and what its `config` says."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return arrays, json.loads(str(arrays.pop("config", "{}")))
