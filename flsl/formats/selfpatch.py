"""SelfPatch: DINO's frame around an encoder without class token and without final norm; its heads hold both.

The position table has a row for each patch and is resized by scale factor. Features are the last block's output.
"""

from flsl.formats.found import Found, is_square, is_vit, position_rows, run_arguments
from flsl.formats.student_teacher import take_side
from flsl.weights import WeightFile

FACTS = {"class_token": False, "position_interpolation": "dino", "norm_eps": 1e-6}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a SelfPatch checkpoint."""
    state, others, side = take_side(file, branch)
    bare = is_vit(state) and not any(key in state for key in ("cls_token", "norm.weight", "fc_norm.weight"))
    if not bare or not is_square(position_rows(state)) or file.container != "pickle":
        return None
    layout = "SelfPatch training checkpoint" if side else "SelfPatch backbone"
    return Found(layout, "SelfPatch", state, FACTS, others, run_arguments(file.tree), branch=side)
