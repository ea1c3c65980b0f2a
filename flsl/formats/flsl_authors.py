"""The FLSL authors' training checkpoint: DINO's frame around an encoder without class token.

The public code keeps an unused `cls_token`; its position table has a row for each patch and none more (method.md
section 5, trap 2). The table is the fixed sine-cosine one or a learned one, resized by scale factor.
"""

from flsl.formats.found import Found, drop, is_square, is_vit, position_rows, run_arguments, tensors_of
from flsl.formats.student_teacher import take_branch
from flsl.position import is_sincos
from flsl.weights import WeightFile

FACTS = {"class_token": False, "position_interpolation": "dino", "norm_eps": 1e-6}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognise an FLSL checkpoint."""
    sides = take_branch(file, branch)
    if sides is not None:
        state, others = sides
        if not _without_class_row(state) or any(".ca_head." in key for key in others):
            return None
        if "cls_token" not in state and "norm.weight" not in state:
            return None  # SelfPatch's
    else:
        state, others = tensors_of(file.tree), {}
        state = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in state.items()}
        # Alone, an unused class token beside the sine table is FLSL's; with a learned table it would be timm's.
        if not _without_class_row(state) or "cls_token" not in state or not is_sincos(state["pos_embed"]):
            return None
        state, heads = drop(state, ("head.",))
        others = dict.fromkeys(heads)
    state, unused = drop(state, ("cls_token",))
    return Found("FLSL authors' checkpoint", "FLSL", state, FACTS, unused + list(others), run_arguments(file.tree))


def _without_class_row(state: dict) -> bool:
    return is_vit(state) and is_square(position_rows(state)) and "blocks.0.ls1.gamma" not in state
