"""Export as a pickle of tensors and plain values: for plain torch, and for a detector of mmdetection."""

import json
from pathlib import Path
from typing import Any

from flsl.checkpoint import LoadedEncoder
from flsl.exports.write import tensors
from flsl.formats.own import DESCRIPTION
from flsl.runtime.files import write_tensors


def to_torch(loaded: LoadedEncoder, out: Path) -> list[str]:
    """Write a .pth with "state_dict" (our names) and a description that our reader understands."""
    write_tensors(out, {"state_dict": tensors(loaded), DESCRIPTION: _description(loaded)})
    return [f'encoder.load_state_dict(torch.load("{out}", weights_only=True)["state_dict"])']


def to_mmdet(loaded: LoadedEncoder, out: Path) -> list[str]:
    """Write an mmengine checkpoint for a detector whose backbone is `EncoderBackbone` (keys `backbone.encoder.*`)."""
    state = {f"backbone.encoder.{key}": value for key, value in tensors(loaded).items()}
    write_tensors(out, {"meta": {DESCRIPTION: _description(loaded)}, "state_dict": state})
    return [f'load_from = "{out}" in an mmdetection config', f'or init_cfg=dict(type="Pretrained", checkpoint="{out}")']


def _description(loaded: LoadedEncoder) -> dict[str, Any]:
    """Return what our reader needs to rebuild the encoder, as plain values."""
    encoder = json.loads(json.dumps(loaded.encoder.config.to_dict()))
    return {"encoder": encoder, "name": loaded.name, "method": loaded.method, "pretraining": loaded.pretraining}
