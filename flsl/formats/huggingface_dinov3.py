"""Hugging Face's DINOv3ViT: `embeddings.`, `layer.` and separate projections, turned into timm's names."""

from flsl.formats.found import Found, drop, join_qkv, rename, tensors_of
from flsl.infer import rotary_config
from flsl.weights import WeightFile

NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings": "patch_embed.proj",
    "model.layer.": "layer.",
    "layer.": "blocks.",
    "attention.o_proj": "attn.proj",
    "attention.": "attn.",
    "layer_scale1.lambda1": "gamma_1",
    "layer_scale2.lambda1": "gamma_2",
    "mlp.gate_proj": "mlp.fc1_g",
    "mlp.down_proj": "mlp.fc2",
}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a Hugging Face DINOv3."""
    state = tensors_of(file.tree)
    rotary = any(key.endswith("layer.0.attention.q_proj.weight") for key in state)
    if not rotary or "embeddings.register_tokens" not in state:
        return None
    state, dropped = drop(state, ("embeddings.mask_token", "rope_embeddings.inv_freq"))
    gated = any(".gate_proj." in key for key in state)
    state = rename(state, NAMES | {"mlp.up_proj": "mlp.fc1_x" if gated else "mlp.fc1"})
    for name, ours in (("q_proj", "q_bias"), ("v_proj", "v_bias")):  # keys have no bias
        state = rename(state, {f"attn.{name}.bias": f"attn.{ours}"})
    state = join_qkv(state, "q_proj", "k_proj", "v_proj")
    config = rotary_config(state, str(file.path))
    weights = {f"network.{key}": value for key, value in state.items()}
    return Found("Hugging Face DINOv3", "DINOv3", weights, dropped=dropped, config=config)
