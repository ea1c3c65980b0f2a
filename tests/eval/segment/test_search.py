"""The search of segmentation's memory on whatever device there is, against all products on the CPU in float64."""

import pytest
import torch
from torch.nn.functional import normalize

from eval.segment.search import Index


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
