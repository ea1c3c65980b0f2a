"""The search for the largest products on whatever device there is, against all products on the CPU in float64."""

import pytest
import torch
from torch.nn.functional import normalize

from eval import search
from eval.search import Index


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_search_finds_the_largest_products(dtype, device):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20_000, 48, generator=generator).to(dtype)
    lengths, queries = features.float().norm(dim=1), normalize(torch.randn(70, 48, generator=generator), dim=1)
    exact = (queries.double() @ (features.double() / lengths[:, None]).T).topk(30, dim=1).values
    values, entries = Index(features.to(device), lengths.to(device)).nearest(queries.to(device), 30)
    torch.testing.assert_close(values.cpu().double(), exact, rtol=0, atol=1e-6)
    chosen = (features.double() / lengths[:, None])[entries.cpu()]
    found = (queries.double()[:, None] * chosen).sum(dim=2)
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-6)
    assert all(len(set(row)) == 30 for row in entries.tolist())


@pytest.mark.parametrize("home", ["the queries' device", "the CPU"])
@pytest.mark.parametrize("block", [4, 1000])
@pytest.mark.parametrize("tile", [7, 64, 1000])
def test_in_tiles_and_blocks_too(tile, block, home, device, monkeypatch):
    monkeypatch.setattr(search, "TILE", tile)
    monkeypatch.setattr(search, "GPU_TILE", tile)
    monkeypatch.setattr(search, "BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    bank, queries = (normalize(torch.randn(n, 8, generator=generator).double(), dim=1).to(device) for n in (300, 9))
    wanted, where = (queries @ bank.T).sort(dim=1, descending=True)
    index = Index(bank.cpu() if home == "the CPU" else bank, bounds=False)
    products, entries = index.nearest(queries, 20)
    assert products.device.type == device.type
    assert torch.equal(entries, where[:, :20])
    assert torch.allclose(products, wanted[:, :20], atol=1e-12, rtol=0)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_no_cell_is_passed_over_that_holds_one_of_the_best(width):
    """In few dimensions the plane between two cells is what keeps most cells out, and the best often lie just behind it."""
    generator = torch.Generator().manual_seed(width)
    features, queries = (normalize(torch.randn(n, width, generator=generator), dim=1) for n in (40_000, 400))
    products = queries.double() @ features.double().T
    for k in (1, 40, 1500):
        values, _ = Index(features).nearest(queries, k)
        torch.testing.assert_close(values.double(), products.topk(k, dim=1).values, rtol=0, atol=1e-6)
