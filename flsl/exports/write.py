"""What the export targets share: the encoder's tensors, and writing files and folders whole."""

import json
from pathlib import Path
from typing import Any

from flsl.checkpoint import LoadedEncoder, require_weights
from flsl.formats.found import State
from flsl.runtime.files import write_text
from flsl.weight_file import write_safetensors


def tensors(loaded: LoadedEncoder) -> State:
    """Return the encoder's tensors on the CPU, under our names. Raises UserError where there are none."""
    require_weights(loaded.encoder)
    return {key: value.detach().cpu().contiguous() for key, value in loaded.encoder.state_dict().items()}


def write_folder(out: Path, state: State, descriptions: dict[str, dict[str, Any]]) -> None:
    """Write model.safetensors and JSON files into the folder `out`."""
    write_safetensors(out / "model.safetensors", state, {"format": "pt"})
    for name, description in descriptions.items():
        write_text(out / name, json.dumps(description, indent=2) + "\n")


def resizing_note(loaded: LoadedEncoder, theirs: str, library: str) -> list[str]:
    """Return the warning that a library resizes positions by another method than this encoder, if it does."""
    config = loaded.encoder.config
    if config.timm_model is not None or config.position_interpolation == theirs:
        return []
    return [f"equal at {config.image_size} pixels; at other sizes {library} resizes positions in its own way"]
