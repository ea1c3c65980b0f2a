"""Load the student and teacher of a public FLSL training checkpoint (encoder and head) into the model."""

import torch

from flsl.checkpoint import load_strictly
from flsl.errors import UserError
from flsl.model import FLSL


def load_student_teacher(model: FLSL, checkpoint: dict[str, dict[str, torch.Tensor]], what: str) -> list[str]:
    """Load `{"student": state, "teacher": state}` in the authors' key layout, strictly; returns what was dropped.

    `module.` prefixes of data parallelism are removed. The authors' models keep a class token that takes no part in
    the computation: it is dropped, by name, where the encoder has none.

    Raises:
        UserError: a side is missing, or keys or shapes do not fit (all are listed).
    """
    dropped = []
    for side in ("student", "teacher"):
        if side not in checkpoint:
            raise UserError(f"{what} has no {side!r} weights; expected the keys 'student' and 'teacher'")
        state = {key.removeprefix("module."): value for key, value in checkpoint[side].items()}
        if model.student.backbone.cls_token is None and state.pop("backbone.cls_token", None) is not None:
            dropped.append(f"{side}.backbone.cls_token")
        load_strictly(getattr(model, side), state, f"{what} ({side})")
    return dropped
