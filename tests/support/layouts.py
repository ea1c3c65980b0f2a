"""Rename a plain ViT's weights to what other projects call them, and write files as those projects do."""

import argparse

import torch

ARGUMENTS = argparse.Namespace(arch="vit_small", patch_size=8, output_dir="out", lr=0.0005)


def prefixed(weights, prefix):
    return {prefix + key: value for key, value in weights.items()}


def layers(*names):
    """Return weights of layers that do not belong to the encoder."""
    return {f"{name}.weight": torch.zeros(3, 3) for name in names}


def training_checkpoint(student, teacher, **more):
    """Return the dictionary that DINO's training loop, and its descendants', save."""
    return {"student": student, "teacher": teacher, "optimizer": {"state": {}}, "epoch": 7, "args": ARGUMENTS} | more


def renamed(weights, changes):
    """Replace parts of names, in the order given."""
    result = {}
    for key, value in weights.items():
        for old, new in changes.items():
            key = key.replace(old, new)
        result[key] = value
    return result


def split_qkv(weights, names, keep_key_bias=True):
    """Replace each `attn.qkv` by three layers of the given names."""
    result = {}
    for key, value in weights.items():
        if ".attn.qkv." not in key:
            result[key] = value
            continue
        for name, part in zip(names, value.chunk(3)):
            if keep_key_bias or not (key.endswith("bias") and name == names[1]):
                result[key.replace(".qkv.", f".{name}.")] = part.clone()
    return result


def hugging_face_vit(weights):
    return renamed(
        split_qkv(weights, ("attention.query", "attention.key", "attention.value")),
        {
            "cls_token": "embeddings.cls_token",
            "pos_embed": "embeddings.position_embeddings",
            "patch_embed.proj": "embeddings.patch_embeddings.projection",
            "blocks.": "encoder.layer.",
            ".norm1.": ".layernorm_before.",
            ".norm2.": ".layernorm_after.",
            ".attn.proj.": ".attention.output.dense.",
            ".attn.": ".attention.",
            ".mlp.fc1.": ".intermediate.dense.",
            ".mlp.fc2.": ".output.dense.",
        }
        | {"norm.weight": "layernorm.weight", "norm.bias": "layernorm.bias"},
    )


def hugging_face_dinov2(weights):
    return renamed(
        split_qkv(weights, ("attention.query", "attention.key", "attention.value")),
        {
            "cls_token": "embeddings.cls_token",
            "reg_token": "embeddings.register_tokens",
            "pos_embed": "embeddings.position_embeddings",
            "patch_embed.proj": "embeddings.patch_embeddings.projection",
            "blocks.": "encoder.layer.",
            ".attn.proj.": ".attention.output.dense.",
            ".attn.": ".attention.",
            ".ls1.gamma": ".layer_scale1.lambda1",
            ".ls2.gamma": ".layer_scale2.lambda1",
        }
        | {"norm.weight": "layernorm.weight", "norm.bias": "layernorm.bias"},
    )


def dinov3(weights, layout, gated):
    """Return DINOv3 as Meta, timm or Hugging Face store it."""
    state = {}
    for key, value in weights.items():
        if gated and ".mlp.fc1." in key:
            for name, part in zip(("w1", "w2"), value.chunk(2)):
                state[key.replace("fc1", name)] = part.clone()
        else:
            state[key.replace(".mlp.fc2.", ".mlp.w3.") if gated else key] = value
    if layout == "meta":
        masks = {key.replace("bias", "bias_mask"): torch.ones(3) for key in state if key.endswith("qkv.bias")}
        extra = {"mask_token": torch.zeros(1, 128), "rope_embed.periods": torch.ones(16)}
        return renamed(state, {"reg_token": "storage_tokens"}) | masks | extra
    gates = ("fc1_g", "fc1_x", "fc2") if layout == "timm" else ("gate_proj", "up_proj", "down_proj")
    state = renamed(state, {f".{ours}.": f".{theirs}." for ours, theirs in zip(("w1", "w2", "w3"), gates)})
    if layout == "timm":
        state = renamed(state, {"ls1.gamma": "gamma_1", "ls2.gamma": "gamma_2"})
        for key in [key for key in state if key.endswith("qkv.bias")]:
            query, _, value = state.pop(key).chunk(3)
            state |= {
                key.replace("qkv.bias", "q_bias"): query.clone(),
                key.replace("qkv.bias", "v_bias"): value.clone(),
            }
        return state
    state = split_qkv(state, ("q_proj", "k_proj", "v_proj"), keep_key_bias=False)
    names = {
        "cls_token": "embeddings.cls_token", "reg_token": "embeddings.register_tokens", ".attn.proj.": ".attn.o_proj.",
        "patch_embed.proj": "embeddings.patch_embeddings", "blocks.": "layer.", ".attn.": ".attention.",
        "ls1.gamma": "layer_scale1.lambda1", "ls2.gamma": "layer_scale2.lambda1",
        ".fc1.": ".up_proj.", ".fc2.": ".down_proj.",
    }  # fmt: skip
    return renamed(state, names) | {"embeddings.mask_token": torch.zeros(1, 1, 128)}
