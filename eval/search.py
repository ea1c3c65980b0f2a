"""Exact search of the entries of largest inner product in a memory of millions, by tiles.

On a CPU most of a memory is passed over by two bounds. Entries lie in cells, each nearest to the cell's center. An entry
that is among the best k is no farther from the query than the k-th best so far; a cell that lies behind the plane halfway
between its center and that of the query's own cell, and farther away than this, holds none. In coordinates along the
memory's principal directions, the inner product of a query q and an entry m is that of their first `head` coordinates plus
that of the rest, which is at most the product of the two rests' lengths (Cauchy and Schwarz): only entries of the other
cells whose bound reaches the k-th best are multiplied out. The search begins in each query's own cell, where most of the
best are.
"""

import torch
from torch import Tensor

from eval.progress import tracked

TILE = 4096  # entries whose bounds, for a block of queries, stay in the processor's cache
BLOCK = 1024  # queries at once
FEWEST = 4  # tiles below which everything is multiplied out
CELL, MOST_CELLS = 2048, 1024
SPARE = 18  # entries beyond k that are looked at for a first idea of the k-th best
HEADS = (37, 61, 125)  # coordinates; the bounds take three more
REST = 0.05  # share of the variance that may be outside the head
ROUNDING = 5e-6  # of a product in float32; lengths are 1
NARROW, MARGIN = 0.05, 1e-4  # centers nearer than this count as so far apart; rounding of a distance
SAMPLE = 50_000  # entries that directions and centers are taken from
GPU_TILE = 65_536


class Best:
    """The k best entries of each query so far: products (q, k) and indices (q, k), best first; -inf where there are fewer."""

    def __init__(self, queries: Tensor, k: int):
        self.values = queries.new_full((len(queries), k), -torch.inf)
        self.indices = torch.zeros(self.values.shape, dtype=torch.long, device=queries.device)

    def add(self, rows: Tensor | slice, products: Tensor, indices: Tensor) -> None:
        """Take in products (r, n) of the queries `rows` with the entries `indices` (n,)."""
        k = self.values.shape[1]
        found, where = products.topk(min(k, products.shape[1]), dim=1)
        self.values[rows], order = torch.cat([self.values[rows], found], dim=1).topk(k, dim=1)
        self.indices[rows] = torch.cat([self.indices[rows], indices[where]], dim=1).gather(1, order)


class Index:
    """A memory of features of length 1 that is searched exactly."""

    def __init__(self, features: Tensor, lengths: Tensor | None = None, *, bounds: bool | None = None):
        """Prepare the search.

        Args:
            features: (m, D) of any float type, on any device; that of the queries computes.
            lengths: (m,) float32 that the entries are divided by where they do not have length 1.
            bounds: whether to pass over entries by bounds; None: of a large memory on a CPU.
        """
        self.features, self.lengths = features, lengths
        self.bounds = bounds is not False and features.device.type == "cpu" and len(features) > FEWEST * TILE
        if not self.bounds:
            return
        shuffled = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
        sample = self.entries(shuffled[:SAMPLE])
        self._mean = sample.mean(dim=0)
        variance, directions = torch.linalg.eigh((sample - self._mean).T @ (sample - self._mean))
        rest = 1 - variance.flip(0).cumsum(0) / variance.sum().clamp(min=1e-12)
        wide = features.shape[1]
        fitting = [head for head in HEADS if head < wide and rest[head - 1] <= REST]
        self._head = min([*fitting, HEADS[-1], wide])
        self._directions = directions.flip(1)[:, : self._head].contiguous()
        self._centers = _centers(self._turn(sample)[:, :-1], len(features))
        self._between = torch.cdist(self._centers, self._centers).clamp(min=NARROW)
        cells = torch.empty(len(features), dtype=torch.int16)
        for start in range(0, len(features), GPU_TILE):
            turned = self._turn(self.entries(slice(start, start + GPU_TILE)))
            cells[start : start + GPU_TILE] = _nearest_center(turned[:, :-1], self._centers)
        # Entries of a cell lie side by side, in no order.
        self._order = shuffled[cells[shuffled].argsort(stable=True)]
        self._ends = [0, *torch.bincount(cells.int(), minlength=len(self._centers)).cumsum(0).tolist()]
        self._rows = torch.ones(len(features), self._head + 3)
        self._longest = 0.0
        for start in range(0, len(features), GPU_TILE):
            entries, rows = self.entries(self._order[start : start + GPU_TILE]), self._rows[start : start + GPU_TILE]
            rows[:, :-2] = self._turn(entries)
            rows[:, -2] = entries @ self._mean - self._mean @ self._mean
            self._longest = max(self._longest, float(entries.square().sum(dim=1).max()))

    def __len__(self) -> int:
        return len(self.features)

    def entries(
        self, which: Tensor | slice, dtype: torch.dtype = torch.float32, device: torch.device | None = None
    ) -> Tensor:
        """Return some of the normalized features, (n, D)."""
        found = self.features[which].to(device, dtype)
        return found if self.lengths is None else found / self.lengths[which, None].to(found)

    def nearest(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return inner products (q, k), largest first, and the indices (q, k) of the entries.

        Args:
            queries: (q, D) of length 1; float32 where bounds are used.
            k: how many, at most all.
        """
        block = BLOCK if queries.device.type == "cpu" else 4 * BLOCK
        parts = [(part, Best(part, k)) for part in queries.split(block)]
        if self.bounds:
            for part, best in parts:
                self._add_by_bounds(part, best)
        else:
            tile = 2 * TILE if queries.device.type == "cpu" else GPU_TILE
            starts = range(0, len(self), tile)
            for start in tracked(starts, "nearest neighbors: tile", len(starts)):
                # A tile is fetched, and carried to the queries' device, once.
                entries = self.entries(slice(start, start + tile), queries.dtype, queries.device)
                for part, best in parts:
                    best.add(slice(None), part @ entries.T, torch.arange(len(entries), device=queries.device) + start)
        return torch.cat([best.values for _, best in parts]), torch.cat([best.indices for _, best in parts])

    def _turn(self, vectors: Tensor) -> Tensor:
        """Return the first coordinates of vectors (n, D), and at least the length of the rest, (n, head + 1)."""
        centered = vectors - self._mean
        turned = centered @ self._directions
        rest = centered.square().sum(dim=1) - turned.square().sum(dim=1)
        return torch.cat([turned, (rest.clamp(min=0) + ROUNDING).sqrt()[:, None]], dim=1)

    def _add_by_bounds(self, queries: Tensor, best: Best) -> None:
        """Take in every entry that may be among the best."""
        turned = self._turn(queries)
        # What a query's product with the mean adds is the same for all entries: it stands in the last column, from which the
        # k-th best so far is taken off, so that bounds must reach 0.
        constant = (queries @ self._mean + ROUNDING)[:, None]
        given = torch.cat([turned, torch.ones_like(constant), constant], dim=1)  # (q, head + 3)
        far = torch.cdist(turned[:, :-1], self._centers).square()  # (q, cells)
        own = far.argmin(dim=1)
        # How far behind the plane between its own and another cell a query is from the other one.
        behind = ((far - far.gather(1, own[:, None])) / (2 * self._between[own])).T.contiguous()  # (cells, q)
        for cell in own.unique().tolist():
            self._add_cell(cell, (own == cell).nonzero()[:, 0], queries, given, best)
        behind.scatter_(0, own[None], torch.inf)  # is done
        for cell in range(len(self._centers)):
            # |q - m|^2 = |q|^2 + |m|^2 - 2 qm
            reach = (1 + self._longest + 2 * ROUNDING - 2 * best.values[:, -1]).clamp(min=0).sqrt() + MARGIN
            self._add_cell(cell, (behind[cell] < reach).nonzero()[:, 0], queries, given, best)

    def _add_cell(self, cell: int, rows: Tensor, queries: Tensor, given: Tensor, best: Best) -> None:
        """Take in what may be among the best of the queries `rows` in a cell, a tile at a time."""
        for start in range(self._ends[cell], self._ends[cell + 1], TILE) if len(rows) else ():
            order = self._order[start : min(start + TILE, self._ends[cell + 1])]
            mine, least = given[rows], best.values[rows, -1]
            known = bool(least.isfinite().all())
            if known:
                mine[:, -1] -= least
            bounds = mine @ self._rows[start : start + len(order)].T
            if not known:  # the largest bounds tell what the others must reach
                columns = bounds.topk(min(best.values.shape[1] + SPARE, len(order)), dim=1).indices.unique()
                self._look_at(rows, order[columns], queries, best)
                bounds -= best.values[rows, -1, None]
                bounds[:, columns] = -torch.inf
            some, columns = ((bounds.amax(dim=dim) >= 0).nonzero()[:, 0] for dim in (1, 0))
            self._look_at(rows[some], order[columns], queries, best)

    def _look_at(self, rows: Tensor, indices: Tensor, queries: Tensor, best: Best) -> None:
        """Multiply out the queries `rows` with some entries, and take in the products."""
        if len(rows):
            best.add(rows, queries[rows] @ self.entries(indices).T, indices)


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
