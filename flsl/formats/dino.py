"""DINO: {"student", "teacher", "args", ...} with `backbone.` and `head.` inside, or the backbone alone.

The class token has the first row of the position table, which is resized by scale factor. A bare headless ViT out of
a pickle is taken as DINO's own backbone file; the same keys in safetensors are timm's.
"""

from flsl.formats.found import Found, drop, is_square, is_vit, position_rows, run_arguments, tensors_of
from flsl.formats.student_teacher import take_branch
from flsl.weights import WeightFile

FACTS = {"position_interpolation": "dino", "norm_eps": 1e-6}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognise a DINO checkpoint."""
    sides = take_branch(file, branch)
    if sides is not None:
        state, others = sides
        if not _has_class_row(state) or "ibot_loss" in others or "blocks.0.ls1.gamma" in state:
            return None
        if "masked_embed" in state or any(".last_layer2." in key or ".mlp2." in key for key in others):
            return None  # iBOT's
        return Found("DINO training checkpoint", "DINO", state, FACTS, list(others), run_arguments(file.tree))
    state = tensors_of(file.tree)
    state = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in state.items()}
    headless = not any(key.startswith(("head", "fc_norm", "decoder", "mask", "reg")) for key in state)
    if file.container != "pickle" or not _has_class_row(state) or not headless or "blocks.0.ls1.gamma" in state:
        return None
    note = "the file holds a bare ViT; it is taken as DINO's, which resizes positions by scale factor"
    state, dropped = drop(state, ("dummy.",))
    return Found("DINO backbone", "DINO", state, FACTS, dropped, warnings=[note])


def _has_class_row(state: dict) -> bool:
    return is_vit(state) and "cls_token" in state and is_square(position_rows(state) - 1)
