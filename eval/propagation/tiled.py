"""Label propagation by tiles: the labels of `eval.propagation.plain.propagate_plain` in a small part of its cost.

Target tokens are taken in rectangular tiles, and a tile is compared only with the rectangle of source tokens that its
windows reach; the matrix over all tokens never exists. Shapes are those of `eval.propagation.plain`.
"""

import functools
import itertools
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from eval.propagation.plain import in_window, propagate_tokens
from eval.propagation.protocol import Protocol
from eval.propagation.threads import one_thread_each

# Target tokens to a tile's side. Small tiles waste little outside the window, large ones suit matrix kernels better.
TILE = {"cpu": 13, "cuda": 30}
# Candidates kept beyond the top k, so that ties at the threshold (repeated frames, say) are nearly always among them.
SPARE = 8
# Target tokens at a time for which they were not.
TIED_TOKENS = 256

Span = tuple[int, int, int, int]  # start and end of a tile, start and end of what its windows reach


@torch.inference_mode()
def propagate(
    target: Tensor,
    features: Tensor,
    labels: Tensor,
    protocol: Protocol,
    repeats: int = 0,
    *,
    given: int = 1,
    tile: int | None = None,
) -> Tensor:
    """Return the labels (h, w, C) of the target frame; `tile` is the largest side of a tile (default by device).

    Raises ValueError where the first frame is repeated but ties are kept, which no protocol asks for.
    """
    if repeats and protocol.ties == "keep":
        raise ValueError("a context that is padded by the first frame is for protocols that cut ties")
    tile = tile or TILE.get(target.device.type, TILE["cuda"])
    column = functools.partial(_propagate_column, target, features, labels, protocol, repeats, given, tile)
    spans = _spans(target.shape[1], tile, protocol.radius)
    if target.device.type == "cpu":
        with one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
            columns = list(pool.map(column, spans))
    else:
        columns = [column(span) for span in spans]
    result, tied = (torch.cat(parts, dim=1) for parts in zip(*columns))
    for tokens in tied.flatten().nonzero().flatten().split(TIED_TOKENS):
        result.flatten(0, 1)[tokens] = propagate_tokens(tokens, target, features, labels, protocol, given=given)
    return result


def _spans(length: int, tile: int, radius: int) -> list[Span]:
    """Cut `length` into near-equal tiles."""
    count = -(-length // tile)
    ends = [length * i // count for i in range(count + 1)]
    return [(a, b, max(a - radius, 0), min(b + radius, length)) for a, b in itertools.pairwise(ends)]


@torch.inference_mode()  # holds for the calling thread only
def _propagate_column(
    target: Tensor,
    features: Tensor,
    labels: Tensor,
    protocol: Protocol,
    repeats: int,
    given: int,
    tile: int,
    span: Span,
) -> tuple[Tensor, Tensor]:
    """Labels (h, n, C) of a column of tiles, n tokens wide, and bool (h, n): where more may tie than was kept."""
    height, width = target.shape[:2]
    tokens = torch.arange(height * width, device=target.device).reshape(height, width)
    keep = protocol.topk + SPARE
    left, right, reach_left, reach_right = span
    # Contexts without a window come first: all of them, the frames that gave masks, or none.
    free = len(features) if protocol.radius == 0 else 0 if protocol.window_on_first_frame else given
    # One copy for the column: in it, the sources of each tile are consecutive in memory.
    strip = features[free:, :, reach_left:reach_right].contiguous()
    tiles = []
    for top, bottom, reach_top, reach_bottom in _spans(height, tile, protocol.radius):
        queries = target[top:bottom, left:right].flatten(0, 1)  # (n, D), the tokens of a tile
        found = []
        if free:
            found.append(_candidates(queries, features[:free].flatten(1, 2), tokens.flatten(), None, keep))
        if free < len(features):
            reach = tokens[reach_top:reach_bottom, reach_left:reach_right]
            offset, size = (top - reach_top, left - reach_left), (bottom - top, right - left)
            outside = _outside_window(offset, size, tuple(reach.shape), protocol, target.device)
            sources = strip[:, reach_top:reach_bottom].flatten(1, 2)  # (contexts, s, D)
            values, frames, positions = _candidates(queries, sources, reach.flatten(), outside, keep)
            found.append((values, frames + free, positions))
        values, frames, positions = (torch.cat(parts, dim=1) for parts in zip(*found))  # (n, m), m candidates
        known = labels.flatten(1, 2)[frames, positions]  # (n, m, C)
        if protocol.ties == "cut":
            times = torch.ones_like(frames)
            if repeats:  # the first frame's copies have windows, whether it has one itself or not
                at = tokens[top:bottom, left:right].flatten()[:, None]  # (n, 1)
                inside = in_window(at // width - positions // width, at % width - positions % width, protocol)
                times += repeats * (inside & (frames == 0))
            averaged, tied = _average_cut(values, times, known, protocol)
        else:
            averaged, tied = _average(values, known, protocol)
        tiles.append((averaged.unflatten(0, size := (bottom - top, right - left)), tied.unflatten(0, size)))
    averages, ties = (torch.cat(parts) for parts in zip(*tiles))
    return averages, ties


@functools.lru_cache(maxsize=256)
def _outside_window(
    offset: tuple[int, int], size: tuple[int, int], reach: tuple[int, int], protocol: Protocol, device: torch.device
) -> Tensor:
    """Whether a source is outside the window of a target: bool (tokens of the tile, tokens in its reach).

    `offset` is where the tile begins inside its reach. Tiles away from the border share one answer, hence the cache.
    """
    rows, columns = (
        torch.arange(sources, device=device) - torch.arange(first, first + targets, device=device)[:, None]
        for first, targets, sources in zip(offset, size, reach)
    )  # (tile rows, reach rows) and (tile columns, reach columns)
    inside = in_window(rows[:, None, :, None], columns[None, :, None, :], protocol)
    return ~inside.flatten(2, 3).flatten(0, 1)


def _candidates(
    queries: Tensor, sources: Tensor, positions: Tensor, outside: Tensor | None, keep: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Find the `keep` most similar sources of each token of a tile.

    The best `keep` positions over all contexts are found first: the best `keep` sources are among these positions, and
    only there the contexts have to be told apart.

    Args:
        queries: (n, D).
        sources: (contexts, s, D), at the raster indices `positions` (s,) of each context frame.
        outside: (n, s) bool, sources that do not count; None where all do.
        keep: how many.

    Returns:
        cosines (n, keep or fewer), -inf for a source that does not count; context and position of each.
    """
    cosines = queries @ sources.transpose(1, 2)  # (contexts, n, s)
    best = cosines.amax(dim=0)  # (n, s)
    if outside is not None:
        best.masked_fill_(outside, -torch.inf)
    best, places = best.topk(min(keep, best.shape[1]), dim=1)  # (n, keep)
    cosines = cosines.gather(2, places.expand(len(cosines), -1, -1)).masked_fill(best == -torch.inf, -torch.inf)
    cosines = cosines.transpose(0, 1).flatten(1)  # (n, contexts keep)
    values, order = cosines.topk(min(keep, cosines.shape[1]), dim=1)
    frames, places = order // best.shape[1], places.gather(1, order % best.shape[1])
    return values, frames, positions[places]


def _average(values: Tensor, labels: Tensor, protocol: Protocol) -> tuple[Tensor, Tensor]:
    """Average the labels (n, m, C) of the candidates whose cosines `values` (n, m) are among the top k.

    Returns:
        labels (n, C), and bool (n,): whether sources beyond the candidates may tie at the threshold.
    """
    weights = torch.exp(values / protocol.temperature)  # (n, m)
    ranked = weights.topk(min(protocol.topk + SPARE, weights.shape[1]), dim=1).values
    threshold = ranked[:, min(protocol.topk, weights.shape[1]) - 1].unsqueeze(1)
    # If even the last candidate ties, what was not kept may tie as well.
    tied = (ranked[:, -1:] >= threshold) & (threshold > 0)
    weights = weights.masked_fill(weights < threshold, 0)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return torch.einsum("nm,nmc->nc", weights, labels), tied.squeeze(1)


def _average_cut(values: Tensor, times: Tensor, labels: Tensor, protocol: Protocol) -> tuple[Tensor, Tensor]:
    """Average the labels (n, m, C) of the best `topk` sources, of which each candidate is as many as `times` (n, m) says.

    Returns what `_average` does; no token has to be looked at again.
    """
    values, order = values.sort(dim=1, descending=True)
    times, labels = times.gather(1, order), labels.gather(1, order[..., None].expand_as(labels))
    before = times.cumsum(dim=1) - times  # (n, m), sources that are more similar
    weights = torch.exp(values / protocol.temperature) * (protocol.topk - before).clamp(min=0).minimum(times)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return torch.einsum("nm,nmc->nc", weights, labels), torch.zeros_like(before[:, 0], dtype=torch.bool)
