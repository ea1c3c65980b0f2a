"""Exact search of the entries of largest inner product in a memory of millions, by tiles.

On a CPU most of a memory is passed over by a bound. In coordinates along the memory's principal directions, the inner
product of a query q and an entry m is that of their first `head` coordinates plus that of the rest, which is at most the
product of the two rests' lengths (Cauchy and Schwarz). The bounds of a whole tile are one narrow matrix product; only
entries whose bound reaches the k-th best found so far are looked at; the search begins with a good k-th best, that of the
cell of k-means which a query is in. Where features fill all directions alike and the
bound says little, a tile is multiplied out, as on a GPU.
"""

import torch
from torch import Tensor

TILE = 4096  # entries whose bounds, for a block of queries, stay in the processor's cache
GROUP = 32  # entries that are passed over together
BLOCK = 1024  # queries at once
FEWEST = 4  # tiles below which everything is multiplied out
CELL, MOST_CELLS = 8192, 512
SPARE = 18  # entries beyond k that are looked at for a first idea of the k-th best
HEADS = (38, 62, 126)  # coordinates; the bounds take two more
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
        if not self.bounds or len(features) <= FEWEST * TILE:
            self.bounds = False
            return
        generator = torch.Generator().manual_seed(0)
        shuffled = torch.randperm(len(features), generator=generator)
        sample = self.entries(shuffled[:SAMPLE])
        self._mean = sample.mean(dim=0)
        variance, directions = torch.linalg.eigh((sample - self._mean).T @ (sample - self._mean))
        variance, self._directions = variance.flip(0), directions.flip(1).contiguous()
        rest = 1 - variance.cumsum(0) / variance.sum().clamp(min=1e-12)
        wide = features.shape[1]
        fitting = [head for head in HEADS if head < wide and rest[head - 1] <= REST]
        self._head = min([*fitting, HEADS[-1], wide])
        self._centers = _centers(((sample - self._mean) @ self._directions)[:, : self._head], len(features))
        cells = torch.empty(len(features), dtype=torch.int16)
        for start in range(0, len(features), GPU_TILE):
            turned = (self.entries(slice(start, start + GPU_TILE)) - self._mean) @ self._directions[:, : self._head]
            cells[start : start + GPU_TILE] = _nearest_center(turned, self._centers)
        # Entries of a cell lie side by side, in no order that could make a tile all of one image.
        self._order = shuffled[cells[shuffled].argsort(stable=True)]
        self._ends = torch.bincount(cells.int(), minlength=len(self._centers)).cumsum(0).tolist()
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
        tile = 2 * TILE if queries.device.type == "cpu" else GPU_TILE
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
        least = self._kth_in_own_cell(queries, given, k)
        values, indices = queries.new_empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.long)
        buffer = queries.new_empty(len(queries), TILE)
        for start in range(0, len(self), TILE):
            rows = self._rows[start : start + TILE]
            bounds = torch.mm(given, rows.T, out=buffer if len(rows) == TILE else None)
            query, place = _reaching(bounds, least - constant)
            if len(query) > WORTHWHILE * bounds.numel():
                tile = self._order[start : start + TILE]
                found, where = (queries @ self.entries(tile).T).topk(min(k, len(tile)), dim=1)
                values, indices = _merge(values, indices, found, tile[where], k)
            elif len(query):
                values, indices = self._look_at(query, self._order[start + place], queries, least, values, indices, k)
            if values.shape[1] == k:
                least = torch.maximum(least, values[:, -1])
        return values, indices

    def _look_at(
        self, query: Tensor, entry: Tensor, queries: Tensor, least: Tensor, values: Tensor, indices: Tensor, k: int
    ) -> tuple[Tensor, Tensor]:
        """Multiply out a list of queries and entries, and return the k best; no product below `least` (q,) is one."""
        # Neighboring queries look at the same entries: each is fetched once.
        rows, row = query.unique(return_inverse=True)
        known, column = entry.unique(return_inverse=True)
        products = (queries[rows] @ self.entries(known).T)[row, column]
        good = (products >= least[query] - ROUNDING).nonzero().flatten()
        good = good[query[good].argsort(stable=True)]
        found, where = _rows_of(query[good], products[good], entry[good], len(queries))
        return _merge(values, indices, found, where, k)

    def _kth_in_own_cell(self, queries: Tensor, given: Tensor, k: int) -> Tensor:
        """Return a number (q,) that at least k entries reach: from the largest bounds in the cell of each query."""
        cells = _nearest_center(given[:, : self._head], self._centers)
        least = queries.new_full((len(queries),), -torch.inf)
        for cell in cells.unique().tolist():
            begin = self._ends[cell - 1] if cell else 0
            end = min(self._ends[cell], begin + 2 * CELL)  # entries of a cell are in no order
            if end - begin < k:
                continue
            mine = (cells == cell).nonzero().flatten()
            bounds = given[mine] @ self._rows[begin:end].T
            entries = self._order[begin + bounds.topk(min(k + SPARE, end - begin), dim=1).indices]
            products = torch.einsum(
                "qd,qnd->qn", queries[mine], self.entries(entries.flatten()).unflatten(0, entries.shape)
            )
            least[mine] = products.topk(k, dim=1).values[:, -1]
        return least


def _centers(points: Tensor, entries: int) -> Tensor:
    """Return centers (c, head) of cells of about CELL entries each, by a few steps of k-means on points (n, head)."""
    count = min(max(entries // CELL, 1), MOST_CELLS, len(points))
    centers = points[:count].clone()
    for _ in range(5):
        cells = _nearest_center(points, centers).long()
        sums = torch.zeros_like(centers).index_add_(0, cells, points)
        held = torch.bincount(cells, minlength=count)[:, None]
        centers = torch.where(held > 0, sums / held.clamp(min=1), centers)
    return centers


def _nearest_center(points: Tensor, centers: Tensor) -> Tensor:
    """Return the number (n,) int16 of the center next to each point (n, head)."""
    return (points @ centers.T - 0.5 * centers.square().sum(dim=1)).argmax(dim=1).to(torch.int16)


def _reaching(bounds: Tensor, enough: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column of the bounds (q, n) that reach what is enough for their row (q,), group by group."""
    whole = bounds.shape[1] // GROUP * GROUP
    groups = bounds[:, :whole].unflatten(1, (-1, GROUP))  # (q, groups, GROUP)
    row, group = (groups.amax(dim=2) >= enough[:, None]).nonzero(as_tuple=True)
    pair, member = (groups[row, group] >= enough[row, None]).nonzero(as_tuple=True)
    row, column = row[pair], group[pair] * GROUP + member
    if whole == bounds.shape[1]:
        return row, column
    last_row, last = (bounds[:, whole:] >= enough[:, None]).nonzero(as_tuple=True)
    return torch.cat([row, last_row]), torch.cat([column, last + whole])


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
