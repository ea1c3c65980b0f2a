"""Hugging Face's Dinov2 and Dinov2WithRegisters, under `dinov2.`, `dinov2_with_registers.` or nothing.

Registers come after the class token and have no position; with them positions are resized to the target size with
antialiasing, otherwise without it.
"""

from flsl.formats.found import Found, drop, inner, join_qkv, rename, tensors_of
from flsl.formats.huggingface_vit import config_facts
from flsl.weights import WeightFile

NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.register_tokens": "reg_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "encoder.layer.": "blocks.",
    "attention.output.dense": "attn.proj",
    "attention.attention": "attn",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.weights_in": "mlp.fc1",
    "mlp.weights_out": "mlp.fc2",
    "layernorm.": "norm.",
}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a Hugging Face DINOv2."""
    everything = tensors_of(file.tree)
    prefixes = ("dinov2.", "dinov2_with_registers.")
    prefix = next((p for p in prefixes if f"{p}embeddings.cls_token" in everything), "")
    state = inner(everything, prefix)
    if "encoder.layer.0.layer_scale1.lambda1" not in state or "embeddings.position_embeddings" not in state:
        return None
    state, dropped = drop(state, ("embeddings.mask_token", "classifier."))
    dropped += [key for key in everything if not key.startswith(prefix)]
    registers = "embeddings.register_tokens" in state
    method, resize = ("DINOv2 with registers", "size") if registers else ("DINOv2", "size_plain")
    facts = {"position_interpolation": resize, "norm_eps": 1e-6} | config_facts(file)
    return Found("Hugging Face DINOv2", method, join_qkv(rename(state, NAMES)), facts, dropped)
