"""Hugging Face's ViT, DeiT and ViTMAE: separate query, key and value, under `vit.`, `deit.` or nothing.

Heads, the norms' epsilon and the image normalization come from config.json and preprocessor_config.json beside the
file, where present; epsilon is 1e-12 otherwise (the library's default). Positions are resized to the target size
without antialiasing.
"""

from flsl.formats.found import Found, drop, inner, join_qkv, rename, tensors_of
from flsl.runtime.errors import UserError
from flsl.weights import WeightFile

NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.distillation_token": "reg_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "encoder.layer.": "blocks.",
    "attention.output.dense": "attn.proj",
    "attention.attention": "attn",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "layernorm.": "norm.",
}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a Hugging Face ViT."""
    everything = tensors_of(file.tree)
    prefix = next((p for p in ("vit.", "deit.") if f"{p}embeddings.cls_token" in everything), "")
    state = inner(everything, prefix)
    if "encoder.layer.0.layernorm_before.weight" not in state or "embeddings.position_embeddings" not in state:
        return None
    state, dropped = drop(state, ("embeddings.mask_token", "pooler.", "classifier.", "decoder."))
    dropped += [key for key in everything if not key.startswith(prefix)]
    facts = {"position_interpolation": "size_plain", "norm_eps": 1e-12} | config_facts(file)
    return Found("Hugging Face ViT", "Hugging Face", join_qkv(rename(state, NAMES)), facts, dropped)


def config_facts(file: WeightFile) -> dict[str, object]:
    """Return what the JSON files beside the weights tell."""
    activation = file.config.get("hidden_act", "gelu")
    if activation != "gelu" and not file.config.get("use_swiglu_ffn"):
        raise UserError(
            f"checkpoint {file.path}: config.json asks for the activation {activation!r}; only gelu is here"
        )
    names = {"num_attention_heads": "num_heads", "layer_norm_eps": "norm_eps"}
    facts = {names[key]: value for key, value in file.config.items() if key in names}
    constants = {key: file.config.get(key) for key in ("image_mean", "image_std")}
    return facts | {key: tuple(v) for key, v in constants.items() if isinstance(v, list) and len(v) == 3}
