"""Label propagation by its definition: each token of a frame takes the labels of its most similar context tokens.

All tensors are channels last, with features L2-normalized (`normalize`) and soft labels:

    target    (h, w, D)            features of the frame to label
    features  (contexts, h, w, D)  the frames that gave masks, the first one at index 0, then the last frames
    labels    (contexts, h, w, C)
    result    (h, w, C)

`repeats` says how often the first frame votes once more, as its protocol's context is padded by it (`Protocol.padded`);
`given` how many frames gave masks: more than one where objects appear later.
`eval.propagation.tiled.propagate` is the fast form of the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from eval.propagation.protocol import Protocol


def normalize(features: Tensor) -> Tensor:
    """L2-normalize features (..., D) over their last dimension."""
    return F.normalize(features, dim=-1)


def in_window(rows: Tensor, columns: Tensor, protocol: Protocol) -> Tensor:
    """Return whether offsets in rows and columns from a target token lie in its window (bool, broadcast)."""
    if protocol.window != "square":
        apart, radius = rows**2 + columns**2, protocol.radius**2
        return apart < radius if protocol.window == "open circle" else apart <= radius
    return (rows.abs() <= protocol.radius) & (columns.abs() <= protocol.radius)


def propagate_plain(
    target: Tensor, features: Tensor, labels: Tensor, protocol: Protocol, repeats: int = 0, *, given: int = 1
) -> Tensor:
    """Return the labels (h, w, C) of the target frame (docs/protocols.md, "DAVIS 2017").

    The affinity is exp(cos / temperature) inside the window and 0 outside. Of all context tokens together the `topk`
    largest for each target token are kept; of ties at the threshold all stay, or any that fill up the number. Normalized
    to sum 1, they average the labels. Needs several matrices of (contexts h w) x (h w).
    """
    tokens = torch.arange(target.shape[0] * target.shape[1], device=target.device)
    features, labels = (
        torch.cat([known[:given], known[:1].expand(repeats, -1, -1, -1), known[given:]]) for known in (features, labels)
    )
    return propagate_tokens(tokens, target, features, labels, protocol, given=given).reshape(labels.shape[1:])


def propagate_tokens(
    tokens: Tensor, target: Tensor, features: Tensor, labels: Tensor, protocol: Protocol, *, given: int = 1
) -> Tensor:
    """Return the labels (n, C) of the target tokens with the raster indices `tokens` (n,) only."""
    _, height, width, channels = labels.shape
    queries = target.flatten(0, 1)[tokens]  # (n, D)
    affinity = torch.exp(features.flatten(1, 2) @ queries.T / protocol.temperature)  # (contexts, source tokens, n)
    if protocol.radius > 0:
        sources = torch.arange(height * width, device=target.device)[:, None]
        # (source tokens, n)
        window = in_window(sources // width - tokens // width, sources % width - tokens % width, protocol)
        affinity[0 if protocol.window_on_first_frame else given :] *= window
    affinity = affinity.flatten(0, 1)  # (contexts source tokens, n)
    largest = affinity.topk(min(protocol.topk, len(affinity)), dim=0)
    if protocol.ties == "cut":
        affinity = torch.zeros_like(affinity).scatter_(0, largest.indices, largest.values)
    else:
        affinity[affinity < largest.values[-1]] = 0
    affinity = affinity / affinity.sum(dim=0)
    return affinity.T @ labels.reshape(-1, channels)
