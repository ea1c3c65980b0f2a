"""Load the student and teacher of a public FLSL training checkpoint (encoder and head) into the model."""

import torch

from flsl.checkpoint import load_strictly
from flsl.model import FLSL
from flsl.runtime.errors import UserError


def load_student_teacher(model: FLSL, checkpoint: dict[str, dict[str, torch.Tensor]], what: str) -> list[str]:
    """Load `{"student": state, "teacher": state}` in the authors' key layout, strictly; returns what was dropped.

    `module.` prefixes of data parallelism are removed. What takes no part in the computation is dropped by name: the
    class token that the authors' models keep, and the final LayerNorm of an encoder that is run without it.

    Raises:
        UserError: a side is missing, or keys or shapes do not fit (all are listed).
    """
    dropped = []
    for side in ("student", "teacher"):
        if side not in checkpoint:
            raise UserError(f"{what} has no {side!r} weights; expected the keys 'student' and 'teacher'")
        state = {key.removeprefix("module."): value for key, value in checkpoint[side].items()}
        unused = [] if model.student.backbone.cls_token is not None else ["backbone.cls_token"]
        if not model.student.backbone.config.final_norm:
            unused += ["backbone.norm.weight", "backbone.norm.bias"]
        dropped += [f"{side}.{key}" for key in unused if state.pop(key, None) is not None]
        load_strictly(getattr(model, side), state, f"{what} ({side})")
    return dropped
