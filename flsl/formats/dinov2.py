"""DINOv2: a flat state dict with LayerScale, a mask token and perhaps registers; or {"teacher": ...} of its training.

Registers come after the class token and have no position. Models without registers resize positions by scale factor,
those with registers to the target size with antialiasing. Training splits the blocks into chunks: `blocks.0.3.` is
block 3. The giant model's MLP is SwiGLU.
"""

import re

from flsl.formats.found import Found, drop, rename, run_arguments
from flsl.formats.student_teacher import take_side
from flsl.weights import WeightFile

NAMES = {"register_tokens": "reg_token", ".mlp.w12.": ".mlp.fc1.", ".mlp.w3.": ".mlp.fc2."}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a DINOv2 checkpoint."""
    state, others, side = take_side(file, branch)
    state = {re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", key): value for key, value in state.items()}
    own = "mask_token" in state or "register_tokens" in state
    if not own or "blocks.0.ls1.gamma" not in state or "pos_embed" not in state:
        return None
    method, resize = ("DINOv2 with registers", "size") if "register_tokens" in state else ("DINOv2", "dino")
    state, unused = drop(state, ("mask_token",))
    facts = {"position_interpolation": resize, "norm_eps": 1e-6}
    layout = "DINOv2 training checkpoint" if side else "DINOv2 backbone"
    run = run_arguments(file.tree)
    return Found(layout, method, rename(state, NAMES), facts, unused + others, run, branch=side)
