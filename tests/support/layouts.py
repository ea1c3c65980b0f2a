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
