"""Features that are no numbers stop an evaluation, with the block that went wrong."""

import torch

from flsl.encoder import Encoder
from flsl.runtime.errors import UserError


def require_finite(features: torch.Tensor, encoder: Encoder, images: torch.Tensor, what: str) -> None:
    """Raise UserError where an encoder computed NaN or infinities, naming the first block that did.

    Args:
        features: what it computed, of any shape.
        encoder: it, with finite weights (loading sees to that): they overflow where they are huge or the precision small.
        images: `(B, 3, H, W)` what it was given.
        what: says which images these are.
    """
    if features.isfinite().all():
        return
    maps = encoder.feature_maps(images, range(encoder.depth), norm=False)
    wrong = next((i for i, block in enumerate(maps) if not block.isfinite().all()), None)
    where = "the final norm" if wrong is None else f"block {wrong} of 0..{encoder.depth - 1}"
    raise UserError(
        f"{what}: the encoder's features are NaN or infinite from {where} on. Scores of them would mean nothing: check the "
        "checkpoint (a run that diverged?), and compute in float32."
    )
