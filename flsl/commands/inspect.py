"""Say what a checkpoint holds, load it strictly, and print the proof.

python -m flsl inspect CHECKPOINT [--json] [--all] [--heads N] [--branch NAME]
"""

import argparse
import json

from flsl.commands.arguments import add_checkpoint, overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_checkpoint(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, as records hold it")
    parser.add_argument("--all", action="store_true", help="name every key that was left out, not only their groups")


def run(arguments: argparse.Namespace) -> int:
    """Load the checkpoint and print its description."""
    from flsl.checkpoint import load_encoder, summarize

    loaded = load_encoder(arguments.checkpoint, overrides=overrides(arguments))
    fields, config = loaded.model_fields(), loaded.encoder.config
    dropped = loaded.dropped if arguments.all else summarize(loaded.dropped)
    if arguments.json:
        encoder = config.to_dict()
        print(json.dumps(fields | {"encoder": encoder, "dropped": dropped, "warnings": loaded.warnings}, indent=2))
        return 0
    origin = [f"{k} (--json shows it)" if isinstance(v, dict) else f"{k} {v}" for k, v in loaded.pretraining.items()]
    tokens = ["no class token", "class token"][config.class_token]
    if config.register_tokens:
        tokens += f", {config.register_tokens} registers"
    norm = ["no final norm", "final norm"][config.final_norm]
    rows = {
        "checkpoint": loaded.source,
        "format": f"{loaded.format} (method {loaded.method})",
        "architecture": f"{config.name}: width {config.embed_dim}, {config.depth} blocks, {config.num_heads} heads",
        "blocks": f"{config.mlp} MLP x{config.mlp_ratio:g}, {norm}" + (", LayerScale" if config.layer_scale else ""),
        "tokens": f"{tokens}, grid {config.grid}x{config.grid} of {config.patch_size}-pixel patches",
        "positions": f"{config.position_embedding}, resized by {config.position_interpolation!r}",
        "normalization": f"mean {config.image_mean}, std {config.image_std}",
        "parameters": f"{fields['parameters']:,}",
        "loaded": f"all {len(loaded.encoder.state_dict())} tensors match in name and shape",
        "left out": ", ".join(dropped) or "nothing",
        "origin": ", ".join(origin) or "not stated",
        "file sha256": loaded.file_sha256 or "none",
        "fingerprint": fields["fingerprint"],
    }
    for name, value in rows.items():
        print(f"{name:<14} {value}")
    for warning in loaded.warnings:
        print(f"{'warning':<14} {warning}")
    return 0
