"""What an encoder is, from the shapes of its tensors."""

from typing import Any

import torch

from flsl.architecture import ARCHITECTURES, EncoderConfig, named
from flsl.formats.found import State, is_square, position_rows
from flsl.position import is_sincos
from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse
from flsl.timm_network import create_network, describe_network

ROTARY = {  # (width, blocks, gated MLP) -> timm's network of these; others are made of the small one's
    (384, 12, False): "small", (384, 12, True): "small_plus", (768, 12, False): "base", (1024, 24, False): "large",
    (1280, 32, True): "huge_plus", (4096, 40, True): "7b",
}  # fmt: skip


def infer_config(state: State, facts: dict[str, Any], what: str, heads: int | None = None) -> EncoderConfig:
    """Return the description of the encoder whose tensors `state` holds (names of timm's VisionTransformer).

    Args:
        state: the tensors; their shapes give width, depth, patch, grid, tokens, MLP and LayerScale.
        facts: `EncoderConfig` fields known otherwise; they come before what is inferred.
        what: the file, for messages.
        heads: their number, where neither `facts` nor the width tell it.

    Raises:
        UserError: tensors that every ViT has are missing or have an impossible shape, or the number of heads cannot be
            known.
    """
    needed = ("patch_embed.proj.weight", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight", "pos_embed")
    lacking = [key for key in needed if key not in state]
    if lacking:
        raise UserError(f"{what}: the encoder lacks {', '.join(lacking)}")
    patches, fc1, fc2 = (state[key].shape for key in needed[:3])
    tokens = state["reg_token"].shape if "reg_token" in state else (1, 0, 0)
    square = len(patches) == 4 and patches[1] == 3 and patches[2] == patches[3] and 0 not in patches
    if not square or len(fc1) != 2 or len(fc2) != 2 or len(tokens) != 3:
        raise UserError(
            f"{what}: patch_embed.proj.weight has shape {tuple(patches)}, expected (width, 3, patch, patch); "
            f"blocks.0.mlp.fc1.weight {tuple(fc1)}, expected (hidden, width); registers {tuple(tokens)}, expected "
            "(1, number, width)"
        )
    width, _, patch, _ = patches
    depth = _depth(state, what)
    heads = facts.get("num_heads") or _heads(width, depth, heads, what)
    sizes = {"embed_dim": width, "depth": depth, "num_heads": heads}
    class_token = facts.get("class_token", "cls_token" in state)
    registers = tokens[1]
    prefix, grid = _table(position_rows(state), class_token, registers, what)
    hidden = fc1[0]
    inferred = {
        "architecture": named(width, depth, heads),
        **sizes,
        "patch_size": patch,
        "image_size": grid * patch,
        "mlp_ratio": _ratio(hidden, width),
        "mlp": "swiglu" if hidden == 2 * fc2[1] else "gelu",
        "qkv_bias": "blocks.0.attn.qkv.bias" in state,
        "class_token": class_token,
        "register_tokens": registers,
        "position_embedding": "sincos" if is_sincos(state["pos_embed"], prefix) else "learned",
        "position_prefix": None if prefix == int(class_token) else prefix,
        "final_norm": "norm.weight" in state,
        "layer_scale": "blocks.0.ls1.gamma" in state,
    }
    return parse(EncoderConfig, inferred | facts, f"{what}: encoder")


def rotary_config(state: State, what: str) -> EncoderConfig:
    """Return the description of the timm network whose tensors (timm's names) these are.

    Raises:
        UserError: what tells its sizes is missing or has an impossible shape.
    """
    gated = "blocks.0.mlp.fc1_g.weight" in state
    names = ["patch_embed.proj.weight", f"blocks.0.mlp.fc1{'_g' * gated}.weight", "reg_token"]
    shapes: list[Any] = [tuple(state[name].shape) if name in state else () for name in names]
    if [len(shape) for shape in shapes] != [4, 2, 3] or any(0 in shape for shape in shapes):
        found = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes))
        raise UserError(f"{what}: a DINOv3 encoder has no tensors of such shapes, or lacks one (): {found}")
    (width, _, patch, _), (hidden, _), (_, registers, _) = shapes
    if width % 64:
        raise UserError(f"{what}: a DINOv3 encoder is a multiple of 64 wide, not {width}")
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    name = f"vit_{ROTARY.get((width, depth, gated), 'small')}_patch16_dinov3"
    arguments = {
        "patch_size": patch, "img_size": 14 * patch, "embed_dim": width,
        "depth": depth,
        "num_heads": width // (128 if width == 4096 else 64), "num_reg_tokens": registers,
        "qkv_bias": "blocks.0.attn.q_bias" in state, "mlp_ratio": hidden / width,
        "swiglu_mlp": gated, "swiglu_align_to": int(gated),
    }  # fmt: skip
    with torch.device("meta"):  # its sizes are wanted, not its weights
        return describe_network(create_network(name, **arguments), name, arguments)


def _depth(state: State, what: str) -> int:
    """Return the number of blocks, which must be numbered 0, 1, 2, ..."""
    blocks = {key.split(".")[1] for key in state if key.startswith("blocks.")}
    missing = [str(index) for index in range(len(blocks)) if str(index) not in blocks]
    if missing:
        raise UserError(f"{what}: {len(blocks)} blocks, but not numbered 0 to {len(blocks) - 1}: no {missing[0]}")
    return len(blocks)


def _heads(width: int, depth: int, fallback: int | None, what: str) -> int:
    """Return the heads of a named size, else width / 64 (docs/method.md, "Pitfalls")."""
    for size in ARCHITECTURES.values():
        if size[:2] == (width, depth):
            return size[2]
    if width % 64 and fallback:
        return fallback
    if width % 64:
        raise UserError(
            f"{what}: the number of heads is not stored, and the width {width} is no multiple of 64, the usual head "
            "width. Say --heads N."
        )
    return width // 64


def _table(rows: int, class_token: bool, registers: int, what: str) -> tuple[int, int]:
    """Return how many rows of the position table belong to prefix tokens, and the side of its grid."""
    for prefix in dict.fromkeys((int(class_token), 0, int(class_token) + registers)):
        if rows > prefix and is_square(rows - prefix):
            return prefix, round((rows - prefix) ** 0.5)
    raise UserError(
        f"{what}: the position table has {rows} rows, which is no square grid with "
        f"{'a' if class_token else 'no'} class token and {registers} registers"
    )


def _ratio(hidden: int, width: int) -> float:
    """Return the MLP ratio that gives exactly this hidden width after truncation."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else (hidden + 0.5) / width
