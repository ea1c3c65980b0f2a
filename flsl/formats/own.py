"""Our own encoder file: safetensors with the whole description as JSON in its header."""

import json

from flsl.architecture import EncoderConfig
from flsl.config import parse_section
from flsl.errors import UserError
from flsl.formats.found import Found
from flsl.weights import WeightFile

FORMAT = "flsl-encoder"


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognise a file that `flsl.checkpoint.save_encoder` wrote."""
    if file.metadata.get("format") != FORMAT:
        return None
    try:
        encoder, pretraining = (json.loads(file.metadata[key]) for key in ("encoder", "pretraining"))
        name, method = file.metadata["name"], file.metadata["method"]
    except (KeyError, ValueError) as error:
        raise UserError(f"checkpoint {file.path}: its header is damaged ({error}). Write it again.") from error
    config = parse_section(EncoderConfig, encoder, f"{file.path}: encoder")
    return Found("own", method, file.tree, pretraining=pretraining, name=name, config=config)
