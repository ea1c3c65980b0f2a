"""DINO: {"student", "teacher", "args", ...} with `backbone.` and `head.` inside, or the backbone alone.

The class token has the first row of the learned position table, which is resized by scale factor. A bare headless ViT
out of a pickle is taken as DINO's own backbone file (iBOT's has the same keys and the same computation); the same keys
in safetensors are timm's.
"""

from flsl.formats.found import Found, State, drop, is_square, is_vit, position_rows, run_arguments
from flsl.formats.student_teacher import take_side
from flsl.position import is_sincos
from flsl.weights import WeightFile

FACTS = {"position_interpolation": "dino", "norm_eps": 1e-6}
OTHERS = ("head", "fc_norm", "decoder", "mask", "reg", "dist")  # parts that DINO's backbone does not have


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a DINO checkpoint."""
    side = take_side(file, branch)
    state, dropped = drop(side.state, ("head.mlp.", "head.last_layer."))
    if not _fits(state) or side.of_ibot or any(key.startswith(OTHERS) for key in state):
        return None
    if side.branch is None and (file.container != "pickle" or is_sincos(state["pos_embed"], 1)):
        return None
    layout = "DINO training checkpoint" if side.branch else "DINO backbone"
    return Found(layout, "DINO", state, FACTS, dropped + side.others, run_arguments(file.tree), branch=side.branch)


def _fits(state: State) -> bool:
    """Tell whether it is a ViT with one class token that has a position, and no LayerScale."""
    with_class = is_vit(state) and "cls_token" in state and is_square(position_rows(state) - 1)
    return with_class and "blocks.0.ls1.gamma" not in state and "blocks.0.gamma_1" not in state
