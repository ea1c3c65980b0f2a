"""Weights written as safetensors: equal tensors and metadata give equal bytes."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from flsl.runtime.files import write_bytes

LENGTH = 8  # bytes, little-endian: how long the JSON header is that follows


def write_safetensors(path: str | Path, state: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> Path:
    """Write tensors and metadata atomically.

    Raises:
        UserError: the disk refuses; a previous file of that name stays intact.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    return write_bytes(path, _in_order(save(tensors, metadata)))


def _in_order(data: bytes) -> bytes:
    """Sort the metadata: the library writes them in another order in every process."""
    start = LENGTH + int.from_bytes(data[:LENGTH], "little")
    header = json.loads(data[LENGTH:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(LENGTH, "little") + text + data[start:]
