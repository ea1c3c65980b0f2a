"""A plain ViT written out in elementary operations, and random weights for it: what checkpoint tests compare with."""

import math

import torch
from torch.nn import functional as F

from flsl.checkpoint import load_encoder

SIZES = [(32, 32), (24, 56)]  # native (patch 8, grid 4) and non-square


def random_weights(
    width=64, depth=2, patch=8, grid=4, *, class_token=True, registers=0, layer_scale=False, swiglu=False,
    position_rows=None, norm=True, rope=False, seed=0,
):  # fmt: skip
    """Return random tensors of one ViT; biases, norms and scales too, so that nothing is 0 or 1 by chance."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape, scale=0.1, shift=0.0):
        return torch.randn(*shape, generator=generator) * scale + shift

    rows = int(class_token) if position_rows is None else position_rows
    weights = {
        "patch_embed.proj.weight": draw(width, 3, patch, patch),
        "patch_embed.proj.bias": draw(width),
    }
    if not rope:
        weights["pos_embed"] = draw(1, rows + grid * grid, width, scale=0.5)
    if class_token:
        weights["cls_token"] = draw(1, 1, width, scale=1.0)
    if registers:
        weights["reg_token"] = draw(1, registers, width, scale=1.0)
    hidden = 4 * width
    for block in (f"blocks.{index}." for index in range(depth)):
        for name in ("norm1", "norm2"):
            weights[f"{block}{name}.weight"], weights[f"{block}{name}.bias"] = draw(width, shift=1.0), draw(width)
        for name, rows_out, columns in (
            ("attn.qkv", 3 * width, width),
            ("attn.proj", width, width),
            ("mlp.fc1", 2 * hidden if swiglu else hidden, width),
            ("mlp.fc2", width, hidden),
        ):
            weights[f"{block}{name}.weight"], weights[f"{block}{name}.bias"] = draw(rows_out, columns), draw(rows_out)
        if rope:  # the key's bias is masked out in DINOv3
            weights[f"{block}attn.qkv.bias"][width : 2 * width] = 0
        if layer_scale:
            weights[f"{block}ls1.gamma"], weights[f"{block}ls2.gamma"] = draw(width, shift=0.5), draw(width, shift=0.5)
    if norm:
        weights["norm.weight"], weights["norm.bias"] = draw(width, shift=1.0), draw(width)
    return weights


def check(path, weights, heads, **how):
    """Load a file and assert that its features are those of the plain ViT, at both sizes; returns what was loaded."""
    loaded = load_encoder(path)
    for size in SIZES:
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
        (got,) = loaded.encoder.feature_maps(images)
        expected = plain_features(double(weights), images.double(), heads, **how)
        torch.testing.assert_close(got.double(), expected, atol=1e-5, rtol=0)
    assert loaded.encoder.config.norm_eps == how.get("eps", 1e-6)  # too small to show in features
    return loaded


def double(weights):
    """Return the weights in float64, so that only the encoder's own rounding shows."""
    return {key: value.double() for key, value in weights.items()}


def plain_features(weights, images, heads, *, positions="dino", position_rows=None, eps=1e-6, swiglu=False):
    """Return the patch features `(B, D, h, w)` after the final norm, if any, computed step by step."""
    kernel = weights["patch_embed.proj.weight"]
    patch, width = kernel.shape[-1], kernel.shape[0]
    batch, _, height, breadth = images.shape
    rows, columns = height // patch, breadth // patch
    cells = images.reshape(batch, 3, rows, patch, columns, patch).permute(0, 2, 4, 1, 3, 5)
    tokens = cells.reshape(batch, rows * columns, -1) @ kernel.reshape(width, -1).T + weights["patch_embed.proj.bias"]

    prefix = [weights[name] for name in ("cls_token", "reg_token") if name in weights]
    special = position_rows if position_rows is not None else int("cls_token" in weights)
    rotation = None
    if "pos_embed" in weights:
        table = weights["pos_embed"]
        tokens = tokens + _resize(table[:, special:], rows, columns, positions)
    else:
        special, table, rotation = 0, torch.zeros(1, 0, width), _rotation(rows, columns, width // heads, tokens.dtype)
    if prefix:
        prefix = torch.cat(prefix, dim=1).clone()
        prefix[:, :special] += table[:, :special]
        tokens = torch.cat([prefix.repeat(batch, 1, 1), tokens], dim=1)

    for index in range(1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))):
        tokens = _block(weights, f"blocks.{index}.", tokens, heads, eps, swiglu, rotation)
    if "norm.weight" in weights:
        tokens = _norm(tokens, weights, "norm", eps)
    return tokens[:, -rows * columns :].transpose(1, 2).reshape(batch, width, rows, columns)


def _resize(table, rows, columns, how):
    side = math.isqrt(table.shape[1])
    if (rows, columns) == (side, side):
        return table
    square = table.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if how == "dino":
        factors = ((rows + 0.1) / side, (columns + 0.1) / side)
        square = F.interpolate(square, scale_factor=factors, mode="bicubic")
    else:
        square = F.interpolate(square, size=(rows, columns), mode="bicubic", antialias=how == "size")
    return square.permute(0, 2, 3, 1).reshape(1, rows * columns, -1)


def _rotation(rows, columns, head_width, dtype):
    """Return cosines and sines `(rows * columns, head_width)` of DINOv3's rotary positions."""
    periods = 100 ** (torch.arange(head_width // 4, dtype=dtype) / (head_width // 4))
    angles = []
    for row in range(rows):
        for column in range(columns):
            y, x = 2 * (row + 0.5) / rows - 1, 2 * (column + 0.5) / columns - 1
            angles.append(torch.cat([2 * math.pi * y / periods, 2 * math.pi * x / periods]).repeat(2))
    angles = torch.stack(angles)
    return angles.cos(), angles.sin()


def _rotate(heads, rotation):
    cosine, sine = rotation
    prefix, patches = heads[:, :, : -len(sine)], heads[:, :, -len(sine) :]
    first, second = patches.chunk(2, dim=-1)
    return torch.cat([prefix, patches * cosine + torch.cat([-second, first], -1) * sine], dim=2)


def _block(weights, block, tokens, heads, eps, swiglu, rotation):
    batch, number, width = tokens.shape
    normed = _norm(tokens, weights, f"{block}norm1", eps)
    qkv = _linear(normed, weights, f"{block}attn.qkv").reshape(batch, number, 3, heads, width // heads)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    if rotation:
        query, key = _rotate(query, rotation), _rotate(key, rotation)
    attention = (query @ key.transpose(-1, -2) / math.sqrt(width // heads)).softmax(-1)
    mixed = _linear((attention @ value).transpose(1, 2).reshape(batch, number, width), weights, f"{block}attn.proj")
    tokens = tokens + mixed * weights.get(f"{block}ls1.gamma", 1)
    inner = _linear(_norm(tokens, weights, f"{block}norm2", eps), weights, f"{block}mlp.fc1")
    if swiglu:
        gate, inner = inner.chunk(2, dim=-1)
        inner = gate * torch.sigmoid(gate) * inner
    else:
        inner = 0.5 * inner * (1 + torch.erf(inner / math.sqrt(2)))
    return tokens + _linear(inner, weights, f"{block}mlp.fc2") * weights.get(f"{block}ls2.gamma", 1)


def _linear(tokens, weights, name):
    return tokens @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _norm(tokens, weights, name, eps):
    centered = tokens - tokens.mean(-1, keepdim=True)
    scaled = centered / torch.sqrt(centered.square().mean(-1, keepdim=True) + eps)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
