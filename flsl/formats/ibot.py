"""iBOT: DINO's frame with a second head for patches and a mask embedding; or the backbone alone under "state_dict".

The backbone's class token has the first row of the position table, which is resized by scale factor. Models that pool
by averaging keep their norm as `fc_norm`, which acts on the pooled feature alone.
"""

from dataclasses import replace

from flsl.formats.found import Found, drop, is_vit, rename, run_arguments, tensors_of
from flsl.formats.student_teacher import take_side
from flsl.weights import WeightFile

FACTS = {"position_interpolation": "dino", "norm_eps": 1e-6}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize an iBOT checkpoint."""
    wrapped = set(file.tree) == {"state_dict"}
    side = take_side(replace(file, tree=tensors_of(file.tree["state_dict"])) if wrapped else file, branch)
    alone = wrapped and "cls_token" in side.state and "head.weight" not in side.state
    if not is_vit(side.state) or not (side.of_ibot or alone or "masked_embed" in side.state):
        return None
    state, dropped = drop(side.state, ("masked_embed", "head.", "fc_norm."))
    state = rename(state, {".gamma_1": ".ls1.gamma", ".gamma_2": ".ls2.gamma"})
    layout = "iBOT training checkpoint" if side.branch else "iBOT backbone"
    return Found(layout, "iBOT", state, FACTS, dropped + side.others, run_arguments(file.tree), branch=side.branch)
