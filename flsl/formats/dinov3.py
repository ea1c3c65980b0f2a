"""DINOv3: Meta's files (`storage_tokens`, `ls1.gamma`, `rope_embed`) and timm's (`reg_token`, `gamma_1`), no table.

Positions are rotary and go into every block, so the encoder is timm's. The key third of a stored `qkv.bias` is masked
in the original and therefore left out. Heads are 64 wide, in the 7B model 128.
"""

import torch

from flsl.formats.found import Found, drop, rename, tensors_of
from flsl.formats.student_teacher import take_side
from flsl.infer import rotary_config
from flsl.weights import WeightFile

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
        query, _, value = torch.atleast_1d(state.pop(key)).tensor_split(3)
        state |= {key.replace("qkv.bias", "q_bias"): query, key.replace("qkv.bias", "v_bias"): value}
    config = rotary_config(state, str(file.path))
    weights = {f"network.{key}": value for key, value in state.items()}
    return Found("DINOv3 backbone", "DINOv3", weights, dropped=dropped + others, config=config, branch=side)
