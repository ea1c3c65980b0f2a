"""Export for Hugging Face: a folder for ViTModel, Dinov2Model or Dinov2WithRegistersModel."""

from pathlib import Path
from typing import Any

import torch

from flsl.architecture import EncoderConfig
from flsl.checkpoint import LoadedEncoder
from flsl.exports.write import resizing_note, tensors, write_folder
from flsl.formats.found import State, rename
from flsl.runtime.errors import UserError

COMMON = {
    "cls_token": "embeddings.cls_token",
    "reg_token": "embeddings.register_tokens",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "blocks.": "encoder.layer.",
    ".attn.proj.": ".attention.output.dense.",
    ".attn.": ".attention.attention.",
}
VIT = {
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
    ".mlp.fc1.": ".intermediate.dense.",
    ".mlp.fc2.": ".output.dense.",
}
DINOV2 = {".ls1.gamma": ".layer_scale1.lambda1", ".ls2.gamma": ".layer_scale2.lambda1"}
SWIGLU = {".mlp.fc1.": ".mlp.weights_in.", ".mlp.fc2.": ".mlp.weights_out."}


def to_hugging_face(loaded: LoadedEncoder, out: Path) -> list[str]:
    """Write model.safetensors, config.json and preprocessor_config.json into `out`.

    Raises:
        UserError: an encoder that none of the three models can be (no class token, no final norm, ...).
    """
    config = loaded.encoder.config
    model, own = _model(config, loaded.name)
    state = _split_qkv(tensors(loaded))
    names = COMMON | (VIT if model == "vit" else DINOV2) | (SWIGLU if config.mlp == "swiglu" else {})
    state = {("layernorm." + key[5:] if key.startswith("norm.") else key): value for key, value in state.items()}
    state = rename(state, names)
    if model != "vit":
        state["embeddings.mask_token"] = torch.zeros(1, config.embed_dim)
    description = {
        "model_type": model,
        "hidden_size": config.embed_dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "layer_norm_eps": config.norm_eps,
        "qkv_bias": config.qkv_bias,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "hidden_act": "gelu",
    }
    processor = {"image_processor_type": "ViTImageProcessor", "size": config.image_size}
    processor |= {"image_mean": config.image_mean, "image_std": config.image_std}
    write_folder(out, state, {"config.json": description | own, "preprocessor_config.json": processor})
    no_pooler = ", add_pooling_layer=False" if model == "vit" else ""
    theirs = "size" if config.register_tokens else "size_plain"
    load = f'transformers.AutoModel.from_pretrained("{out}"{no_pooler})'
    return [load, *resizing_note(loaded, theirs, "Hugging Face's model")]


def _model(config: EncoderConfig, name: str) -> tuple[str, dict[str, Any]]:
    """Return which model an encoder is, and the fields of its configuration that the others lack."""
    lacks = [
        what
        for what, missing in (
            ("a class token", not config.class_token),
            ("a final norm", not config.final_norm),
            ("a position for the class token alone", config.position_prefix is not None),
            ("a position table", config.timm_model is not None),
            ("LayerScale beside registers or SwiGLU", not config.layer_scale and
             (config.register_tokens > 0 or config.mlp == "swiglu")),
        )
        if missing
    ]  # fmt: skip
    if lacks:
        raise UserError(f"{name}: Hugging Face's ViT models need {', '.join(lacks)}. Export to timm or torch instead.")
    if not config.layer_scale:
        return "vit", {"intermediate_size": int(config.embed_dim * config.mlp_ratio)}
    own: dict[str, Any] = {"mlp_ratio": _whole_ratio(config, name), "use_swiglu_ffn": config.mlp == "swiglu"}
    if config.register_tokens:
        return "dinov2_with_registers", own | {"num_register_tokens": config.register_tokens}
    return "dinov2", own


def _whole_ratio(config: EncoderConfig, name: str) -> int:
    """Return the MLP ratio that the library's DINOv2 turns into this encoder's hidden width."""
    hidden = int(config.embed_dim * config.mlp_ratio)
    for ratio in range(1, 17):
        theirs = config.embed_dim * ratio
        if config.mlp == "swiglu":  # two thirds, rounded up to a multiple of 8; our width counts both halves
            theirs = 2 * ((int(theirs * 2 / 3) + 7) // 8 * 8)
        if theirs == hidden:
            return ratio
    raise UserError(f"{name}: Hugging Face's DINOv2 cannot have an MLP of width {hidden}. Export to timm or torch.")


def _split_qkv(state: State) -> State:
    """Replace each `attn.qkv` by `attn.query`, `attn.key` and `attn.value`."""
    split = {}
    for key, value in state.items():
        if ".attn.qkv." in key:
            for name, part in zip(("query", "key", "value"), value.chunk(3)):
                split[key.replace(".qkv.", f".{name}.")] = part.contiguous()
        else:
            split[key] = value
    return split
