"""The FLSL authors' training checkpoint: DINO's frame around an encoder without class token.

The public code keeps an unused `cls_token`; its position table has a row for each patch and none more
(docs/method.md, "Pitfalls"). The table is the fixed sine-cosine one or a learned one, resized by scale factor.
"""

from flsl.formats.found import Found, drop, is_square, is_vit, position_rows, run_arguments
from flsl.formats.student_teacher import take_side
from flsl.position import is_sincos
from flsl.weights import WeightFile

FACTS = {"class_token": False, "position_interpolation": "dino", "norm_eps": 1e-6}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize an FLSL checkpoint: alone, or as a side of a training checkpoint."""
    side = take_side(file, branch)
    state, dropped = drop(side.state, ("head.mlp.", "head.last_layer.", "cls_token"))
    if not is_vit(state) or not is_square(position_rows(state)) or "blocks.0.ls1.gamma" in state:
        return None
    if side.branch is None and not ("cls_token" in dropped and is_sincos(state["pos_embed"])):
        return None  # an unused class token beside the sine table is FLSL's alone; beside a learned one it is timm's
    if "cls_token" not in dropped and "norm.weight" not in state:
        return None  # SelfPatch's
    run = run_arguments(file.tree)
    return Found("FLSL authors' checkpoint", "FLSL", state, FACTS, dropped + side.others, run, branch=side.branch)
