"""What a loaded encoder is, in words, with the proof that every tensor came from the checkpoint."""

from flsl.checkpoint import LoadedEncoder, summarize


def describe(loaded: LoadedEncoder, all_keys: bool = False) -> dict[str, str]:
    """Return heading -> text; `all_keys` names every tensor that was left out, not only their groups."""
    config = loaded.encoder.config
    dropped = loaded.dropped if all_keys else summarize(loaded.dropped)
    origin = [f"{k} (--json shows it)" if isinstance(v, dict) else f"{k} {v}" for k, v in loaded.pretraining.items()]
    tokens = ["no class token", "class token"][config.class_token]
    if config.register_tokens:
        tokens += f", {config.register_tokens} registers"
    norm = ["no final norm", "final norm"][config.final_norm]
    blocks = f"{config.mlp} MLP x{config.mlp_ratio:g}, {norm}" + (", LayerScale" if config.layer_scale else "")
    positions = f"{config.position_embedding}, resized by {config.position_interpolation!r}"
    if config.timm_model is not None:  # which has neither by what else the description says
        changed = ", ".join(f"{key} {value}" for key, value in config.timm_arguments.items())
        blocks = f"those of timm's {config.timm_model}" + (f" with {changed}" if changed else "")
        positions = f"{config.position_embedding}, in timm's way"
    return {
        "checkpoint": loaded.source,
        "format": f"{loaded.format} (method {loaded.method})",
        "architecture": f"{config.name}: width {config.embed_dim}, {config.depth} blocks, {config.num_heads} heads",
        "blocks": blocks,
        "tokens": f"{tokens}, grid {config.grid}x{config.grid} of {config.patch_size}-pixel patches",
        "positions": positions,
        "normalization": f"mean {config.image_mean}, std {config.image_std}",
        "parameters": f"{sum(p.numel() for p in loaded.encoder.parameters()):,}",
        "loaded": f"all {len(loaded.encoder.state_dict())} tensors match in name and shape",
        "left out": ", ".join(dropped) or "nothing",
        "origin": ", ".join(origin) or "not stated",
        "file sha256": loaded.file_sha256 or "none",
        "fingerprint": loaded.fingerprint,
    }
