"""A finished detector on disk: safetensors weights, with all that is needed to use them as JSON metadata."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from flsl.runtime.errors import UserError
from flsl.weight_file import write_safetensors

FORMAT = "flsl-detector"


def write_detector(path: Path, weights: dict[str, torch.Tensor], metadata: dict[str, Any]) -> Path:
    """Write a detector's weights and metadata (values that JSON can hold), atomically."""
    texts = {"format": FORMAT} | {key: json.dumps(value) for key, value in metadata.items()}
    return write_safetensors(path, weights, texts)


def read_detector_metadata(path: Path) -> dict[str, Any]:
    """Return what `write_detector` was given as metadata.

    Raises:
        UserError: no such file, or not a detector of this project.
    """
    return _open(path, weights=False)[0]


def read_detector(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return metadata and weights (on the CPU); errors as `read_detector_metadata`, and for weights that are no numbers."""
    metadata, state = _open(path, weights=True)
    if bad := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise UserError(
            f"{path}: tensors with NaN or infinite numbers, a training that diverged: {', '.join(bad[:10])}"
        )
    return metadata, state


def _open(path: Path, weights: bool) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise UserError(
            f"there is no trained detector {path}. Run the same command without --test-only to train one first."
        )
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()} if weights else {}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"detector {path} cannot be read: {error}. Delete it to train again.") from error
    if texts.pop("format", None) != FORMAT:
        raise UserError(f"{path} is a safetensors file, but no detector that this project wrote")
    return {key: json.loads(value) for key, value in texts.items()}, state
