"""DINOv3: Meta's files (`storage_tokens`, `ls1.gamma`, `rope_embed`) and timm's (`reg_token`, `gamma_1`), no table.

Positions are rotary and go into every block, so the encoder is timm's. The key third of a stored `qkv.bias` is masked
in the original and therefore left out. Heads are 64 wide, in the 7B model 128.
"""

from typing import Any

import torch

from flsl.architecture import EncoderConfig
from flsl.formats.found import Found, State, drop, rename, tensors_of
from flsl.formats.student_teacher import take_side
from flsl.runtime.errors import UserError
from flsl.timm_network import create_network, describe_network
from flsl.weights import WeightFile

SIZES = {  # (width, blocks, gated MLP) -> timm's network of these; others are made of the small one's
    (384, 12, False): "small", (384, 12, True): "small_plus", (768, 12, False): "base", (1024, 24, False): "large",
    (1280, 32, True): "huge_plus", (4096, 40, True): "7b",
}  # fmt: skip
NAMES = {"storage_tokens": "reg_token", "ls1.gamma": "gamma_1", "ls2.gamma": "gamma_2"} | {
    "mlp.w1.": "mlp.fc1_g.", "mlp.w2.": "mlp.fc1_x.", "mlp.w3.": "mlp.fc2."
}  # fmt: skip


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a DINOv3 checkpoint."""
    state, others, side = take_side(file, branch)
    registers = "storage_tokens" in state or ("reg_token" in state and "blocks.0.gamma_1" in state)
    if not registers or "pos_embed" in state or "patch_embed.proj.weight" not in tensors_of(state):
        return None
    unused = [k for k in state if k.startswith(("rope", "local_cls_norm", "mask_token", "head.")) or "bias_mask" in k]
    state, dropped = drop(state, unused)
    state = rename(state, NAMES)
    for key in [key for key in state if key.endswith("qkv.bias")]:
        query, _, value = state.pop(key).chunk(3)
        state |= {key.replace("qkv.bias", "q_bias"): query, key.replace("qkv.bias", "v_bias"): value}
    config = rotary_config(state, str(file.path))
    weights = {f"network.{key}": value for key, value in state.items()}
    return Found("DINOv3 backbone", "DINOv3", weights, dropped=dropped + others, config=config, branch=side)


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
    name = f"vit_{SIZES.get((width, depth, gated), 'small')}_patch16_dinov3"
    arguments = {
        "patch_size": patch, "img_size": 14 * patch, "embed_dim": width,
        "depth": depth,
        "num_heads": width // (128 if width == 4096 else 64), "num_reg_tokens": registers,
        "qkv_bias": "blocks.0.attn.q_bias" in state, "mlp_ratio": hidden / width,
        "swiglu_mlp": gated, "swiglu_align_to": int(gated),
    }  # fmt: skip
    with torch.device("meta"):  # its sizes are wanted, not its weights
        return describe_network(create_network(name, **arguments), name, arguments)
