"""Export for timm: a folder that `timm.create_model("local-dir:FOLDER", pretrained=True)` loads strictly."""

from pathlib import Path
from typing import Any

from flsl.architecture import EncoderConfig
from flsl.checkpoint import LoadedEncoder
from flsl.exports.write import resizing_note, tensors, write_folder
from flsl.formats.found import State


def to_timm(loaded: LoadedEncoder, out: Path) -> list[str]:
    """Write model.safetensors and timm's config.json into `out`."""
    config, state = loaded.encoder.config, tensors(loaded)
    if config.timm_model is not None:
        name, arguments = config.timm_model, config.timm_arguments
        state = {key.removeprefix("network."): value for key, value in state.items()}
    else:
        state, embedded = _fold_class_position(state, config)
        # Every size below overrides the named model's; only the kind of MLP is its own.
        name = "vit_giant_patch14_dinov2" if config.mlp == "swiglu" else "vit_base_patch16_224"
        arguments = _arguments(config, embedded)
    pretrained = {
        "mean": config.image_mean,
        "std": config.image_std,
        "input_size": (3, config.image_size, config.image_size),
        "num_classes": 0,
        "first_conv": "patch_embed.proj",
        "classifier": "head",
    }
    description = {"architecture": name.split(".")[0], "num_classes": 0, "model_args": arguments}
    write_folder(out, state, {"config.json": description | {"pretrained_cfg": pretrained}})
    notes = [f'timm.create_model("local-dir:{out}", pretrained=True)', *resizing_note(loaded, "size", "timm")]
    if config.norm_eps != 1e-6 and config.timm_model is None:
        notes.append(f"timm's norms have epsilon 1e-6, this encoder's {config.norm_eps:g}: features differ by rounding")
    return notes


def _arguments(config: EncoderConfig, embedded: bool) -> dict[str, Any]:
    """Return the arguments of timm's VisionTransformer."""
    return {
        "img_size": config.image_size,
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": config.mlp_ratio,
        "qkv_bias": config.qkv_bias,
        "init_values": 1.0 if config.layer_scale else None,
        "class_token": config.class_token,
        "reg_tokens": config.register_tokens,
        "no_embed_class": not embedded,
        "final_norm": config.final_norm,
        "global_pool": "",
        "dynamic_img_size": True,
    }


def _fold_class_position(state: State, config: EncoderConfig) -> tuple[State, bool]:
    """Return the tensors as timm's model has them, and whether its prefix tokens have rows in the position table.

    With registers that have no position, timm's table has none for the class token either: it is added to the token.
    """
    prefix = int(config.class_token) + config.register_tokens
    rows = int(config.class_token) if config.position_prefix is None else config.position_prefix
    if rows in (0, prefix):
        return state, rows == prefix
    token, table = state["cls_token"] + state["pos_embed"][:, :1], state["pos_embed"][:, 1:].contiguous()
    return state | {"cls_token": token, "pos_embed": table}, False
