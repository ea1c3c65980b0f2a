"""Views of several sizes through one encoder: those of one size share a pass, and all of them may share its blocks' products."""

from collections.abc import Sequence
from itertools import groupby

import torch

from flsl.encoder import Encoder, kept_branches


def encode_views(
    encoder: Encoder,
    drop: torch.Tensor,
    views: Sequence[torch.Tensor],
    paths: Sequence[torch.Tensor] = (),
    shifts: Sequence[torch.Tensor] = (),
    prefix: bool = False,
) -> list[tuple[list[int], torch.Tensor]]:
    """Encode views, each `(B, 3, s, s)`.

    Args:
        encoder: with `joins_sizes`, the linear layers and norms of its blocks see the tokens of all views at once. That is the
            same up to rounding, and fewer and larger operations. A network of timm's encodes size by size in any case.
        drop: `(depth, 1, 1)`, the share of its branches that stochastic depth leaves out of a block.
        views: those of one size that follow each other share a pass.
        paths: for each view draws `(B, depth, 2)` in 0..1 that decide stochastic depth; without them blocks draw by themselves.
        shifts: for each view `(B, 2)`, that of `Encoder.embed`.
        prefix: keep class and register tokens, in front.

    Returns:
        For each group of views of one size: which they are, and their tokens `(views * B, N, D)`, view by view.
    """
    groups = [list(run) for _, run in groupby(range(len(views)), key=lambda i: views[i].shape[-1])]

    def joined(per_view: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
        return [torch.cat([per_view[i] for i in group]) if per_view else None for group in groups]

    images = [torch.cat([views[i] for i in group]) for group in groups]
    kept = [None if draws is None else kept_branches(draws, drop) for draws in joined(paths)]
    joins = encoder.joins_sizes and encoder.config.timm_model is None
    if joins and len(groups) > 1 and (paths or not encoder.drop_path):
        return list(zip(groups, encoder.forward_joined(images, kept, joined(shifts), prefix)))
    each = zip(groups, images, kept, joined(shifts))
    return [(group, encoder(part, factors, shift, prefix)) for group, part, factors, shift in each]
