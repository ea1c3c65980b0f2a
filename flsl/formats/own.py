"""Our own files: safetensors with the whole description as JSON in its header, and what `export` writes for torch and
mmdetection, where the description lies beside the state dict."""

import json

from flsl.architecture import EncoderConfig
from flsl.formats.found import Found, State, tensors_of
from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse
from flsl.weights import WeightFile

FORMAT = "flsl-encoder"
DESCRIPTION = "flsl_encoder"  # key of an exported pickle


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a file that `flsl.checkpoint.save_encoder` or `python -m flsl export` wrote."""
    meta = file.tree.get("meta")
    exported = file.tree.get(DESCRIPTION) or (meta.get(DESCRIPTION) if isinstance(meta, dict) else None)
    state: State = file.tree
    try:
        if file.metadata.get("format") == FORMAT:
            encoder, pretraining = (json.loads(file.metadata[key]) for key in ("encoder", "pretraining"))
            name, method = file.metadata["name"], file.metadata["method"]
        elif isinstance(exported, dict):
            encoder, pretraining, name, method = (exported[k] for k in ("encoder", "pretraining", "name", "method"))
            state = tensors_of(file.tree.get("state_dict"))
            state = {key.removeprefix("backbone.encoder."): value for key, value in state.items()}
        else:
            return None
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(f"checkpoint {file.path}: its description is damaged ({error}). Write it again.") from error
    if not isinstance(pretraining, dict):
        raise UserError(f"checkpoint {file.path}: its origin is no dictionary, but {pretraining!r}")
    config = parse(EncoderConfig, encoder, f"{file.path}: encoder")
    return Found("own", method, state, pretraining=pretraining, name=name, config=config)
