"""A finished model on disk, OUT/detector.safetensors or the like: weights, and all that is needed to use them as JSON."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from flsl.runtime.errors import UserError
from flsl.runtime.files import write_text
from flsl.runtime.text import shorten
from flsl.weight_file import write_safetensors

SECONDS = "train/seconds.txt"  # that the training took


def write_model(path: Path, kind: str, weights: dict[str, torch.Tensor], metadata: dict[str, Any]) -> Path:
    """Write a model's weights and metadata (values that JSON can hold), atomically."""
    texts = {"format": f"flsl-{kind}"} | {key: json.dumps(value) for key, value in metadata.items()}
    return write_safetensors(path, weights, texts)


def read_metadata(path: Path, kind: str) -> dict[str, Any]:
    """Return what `write_model` was given as metadata; errors as `read_model`."""
    return read_model(path, kind, weights=False)[0]


def read_model(path: Path, kind: str, weights: bool = True) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return metadata and, unless only those are wanted, weights (on the CPU).

    Raises:
        UserError: no such file, not a model of this kind of this project, or weights that are no numbers.
    """
    if not path.is_file():
        raise UserError(
            f"there is no trained {kind} {path}. Run the same command without --test-only to train one first, "
            "or copy one there."
        )
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()} if weights else {}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{kind} {path} cannot be read: {error}. Delete it to train again.") from error
    if texts.pop("format", None) != f"flsl-{kind}":
        raise UserError(f"{path} is a safetensors file, but no {kind} that this project wrote")
    if bad := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise UserError(f"{path}: tensors with NaN or infinite numbers, a training that diverged: {shorten(bad, 10)}")
    return {key: json.loads(value) for key, value in texts.items()}, state


def write_seconds(out: Path, seconds: float) -> Path:
    """Write how long the training in the folder `out` took, in all processes that it went through."""
    return write_text(out / SECONDS, f"{seconds}\n")


def read_seconds(out: Path) -> float:
    """Return how long the training in the folder `out` took; 0 where that is not said."""
    try:
        seconds = float((out / SECONDS).read_text())
    except (OSError, ValueError):
        return 0.0
    return seconds if 0 <= seconds < math.inf else 0.0
