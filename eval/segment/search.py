"""Exact search of the entries of largest inner product in a memory of millions, by tiles.

On a CPU most of a memory is passed over by a bound. In coordinates along the memory's principal directions, the inner
product of a query q and an entry m is that of their first `head` coordinates plus that of the rest, which is at most the
product of the two rests' lengths (Cauchy and Schwarz). The bounds of a whole tile are one narrow matrix product; only
entries whose bound reaches the k-th best found so far are looked at. Where features fill all directions alike and the
bound says little, a tile is multiplied out, as on a GPU.
"""

import torch
from torch import Tensor

TILE = 2048  # entries whose bounds, for a block of queries, stay in the processor's cache
GROUP = 32  # entries that are passed over together
BLOCK = 1024  # queries at once
FIRST = 4  # tiles that are multiplied out to begin with, so that the k-th best is good from the start
HEADS = (30, 62, 126)  # coordinates; the bounds take two more
REST = 0.05  # share of the variance that may be outside the head
ROUNDING = 5e-6  # of a bound in float32; lengths are 1
WORTHWHILE = 0.02  # share of a tile that is looked at, above which multiplying it out is faster
SAMPLE = 50_000  # entries that the directions are taken from
GPU_TILE = 65_536


class Index:
    """A memory of normalized features that is searched exactly."""

    def __init__(self, features: Tensor, lengths: Tensor | None = None, *, bounds: bool | None = None):
        """Prepare the search.

        Args:
            features: (m, D) float32 or float16, on the device that is to compute.
            lengths: (m,) float32 that the entries are divided by where they do not have length 1.
            bounds: whether to pass over entries by the bound; None: on a CPU.
        """
        self.features, self.lengths = features, lengths
        self.bounds = features.device.type == "cpu" if bounds is None else bounds
        if not self.bounds or len(features) <= FIRST * TILE:
            self.bounds = False
            return
        # Tiles of entries from everywhere: the k-th best gets good early, and no tile is of one image.
        generator = torch.Generator().manual_seed(0)
        self._order = torch.randperm(len(features), generator=generator)
        sample = self.entries(self._order[:SAMPLE])
        self._mean = sample.mean(dim=0)
        variance, directions = torch.linalg.eigh((sample - self._mean).T @ (sample - self._mean))
        variance, self._directions = variance.flip(0), directions.flip(1).contiguous()
        rest = 1 - variance.cumsum(0) / variance.sum().clamp(min=1e-12)
        wide = features.shape[1]
        fitting = [head for head in HEADS if head < wide and rest[head - 1] <= REST]
        self._head = min([*fitting, HEADS[-1], wide])
        self._rows = torch.empty(len(features), self._head + 2)
        for start in range(0, len(features), GPU_TILE):
            centered = self.entries(self._order[start : start + GPU_TILE]) - self._mean
            turned, rows = centered @ self._directions, self._rows[start : start + GPU_TILE]
            rows[:, : self._head] = turned[:, : self._head]
            rows[:, -2] = turned[:, self._head :].norm(dim=1)
            rows[:, -1] = centered @ self._mean

    def __len__(self) -> int:
        return len(self.features)

    def entries(self, which: Tensor | slice) -> Tensor:
        """Return some of the normalized features, (n, D) float32."""
        found = self.features[which].float()
        return found if self.lengths is None else found / self.lengths[which, None]

    def nearest(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return inner products (q, k), largest first, and the indices (q, k) of the entries.

        Args:
            queries: (q, D) float32 of length 1, on the device of the memory.
            k: how many, at most all.
        """
        search = self._nearest_by_bounds if self.bounds else self._nearest_by_product
        parts = [search(block, k) for block in queries.split(BLOCK if self.bounds else 4 * BLOCK)]
        values, indices = (torch.cat(column) for column in zip(*parts))
        return values, indices

    def _nearest_by_product(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Multiply everything out, a tile at a time."""
        tile = TILE * FIRST if queries.device.type == "cpu" else GPU_TILE
        values = queries.new_empty(len(queries), 0)
        indices = torch.empty(len(queries), 0, dtype=torch.long, device=queries.device)
        for start in range(0, len(self), tile):
            products = queries @ self.entries(slice(start, start + tile)).T
            found, where = products.topk(min(k, products.shape[1]), dim=1)
            values, indices = _merge(values, indices, found, where + start, k)
        return values, indices

    def _nearest_by_bounds(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Look only at entries whose bound reaches the k-th best so far."""
        centered = queries - self._mean
        turned = centered @ self._directions
        rest = turned[:, self._head :].norm(dim=1, keepdim=True)
        given = torch.cat([turned[:, : self._head], rest, torch.ones_like(rest)], dim=1)  # (q, head + 2)
        # A query's product with the mean is the same for all entries: it is taken off the k-th best instead.
        constant = queries @ self._mean + ROUNDING
        first = self._order[: FIRST * TILE]
        values, places = (queries @ self.entries(first).T).topk(k, dim=1)
        indices = first[places]
        buffer = queries.new_empty(len(queries), TILE)
        for start in range(FIRST * TILE, len(self), TILE):
            rows = self._rows[start : start + TILE]
            enough = values[:, -1] - constant  # (q,)
            whole = len(rows) // GROUP * GROUP
            bounds = torch.mm(given, rows.T, out=buffer[:, : len(rows)] if len(rows) == TILE else None)
            groups = bounds[:, :whole].unflatten(1, (-1, GROUP))  # (q, groups, GROUP)
            query, group = (groups.amax(dim=2) >= enough[:, None]).nonzero(as_tuple=True)
            pair, member = (groups[query, group] >= enough[query, None]).nonzero(as_tuple=True)
            query, place = query[pair], group[pair] * GROUP + member
            if whole < len(rows):
                last_query, last = (bounds[:, whole:] >= enough[:, None]).nonzero(as_tuple=True)
                query, place = torch.cat([query, last_query]), torch.cat([place, last + whole])
                query, order = query.sort(stable=True)
                place = place[order]
            if not len(query):
                continue
            if len(query) > WORTHWHILE * bounds.numel():
                tile = self._order[start : start + TILE]
                found, where = (queries @ self.entries(tile).T).topk(min(k, len(tile)), dim=1)
                values, indices = _merge(values, indices, found, tile[where], k)
                continue
            entry = self._order[start + place]
            products = torch.linalg.vecdot(queries[query], self.features[entry].float())
            if self.lengths is not None:
                products /= self.lengths[entry]
            found, where = _rows_of(query, products, entry, len(queries))
            values, indices = _merge(values, indices, found, where, k)
        return values, indices


def _merge(values: Tensor, indices: Tensor, found: Tensor, where: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best of two tables of products and indices."""
    values = torch.cat([values, found], dim=1)
    values, order = values.topk(min(k, values.shape[1]), dim=1)
    return values, torch.cat([indices, where], dim=1).gather(1, order)


def _rows_of(query: Tensor, products: Tensor, entry: Tensor, queries: int) -> tuple[Tensor, Tensor]:
    """Spread a list that is sorted by `query` over a table (queries, longest), -inf where a query has fewer."""
    number = torch.bincount(query, minlength=queries)
    column = torch.arange(len(query)) - (number.cumsum(0) - number)[query]
    values = products.new_full((queries, int(number.max())), -torch.inf)
    indices = entry.new_zeros(values.shape)
    values[query, column], indices[query, column] = products, entry
    return values, indices
