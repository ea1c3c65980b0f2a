"""The sine-cosine table and the resize of position tables equal the published ones."""

import numpy as np
import pytest
import torch
from support.flsl_case import case_files
from support.reference import read_case

from flsl.position import is_sincos, resize_positions, shifted_sincos, sincos_table


@pytest.mark.parametrize("path", case_files("table/"))
def test_reference_sincos_tables(path):
    arrays, config = read_case(path)
    for index, case in enumerate(config["tables"]):
        prefix = int(case["class_token_row"])
        table = sincos_table(case["embed_dim"], case["grid"], prefix)
        np.testing.assert_allclose(table[0], arrays[f"table/{index}"], rtol=0, atol=1e-6, err_msg=str(case))
        assert is_sincos(table, prefix), case


@pytest.mark.parametrize("path", case_files("pos_embed/"))
def test_reference_position_interpolation(path):
    arrays, config = read_case(path)
    assert config["cases"]
    for case in config["cases"]:
        prefix, table = int(case["class_token"]), torch.from_numpy(arrays[case["input"]])
        found = resize_positions(table, tuple(case["grid"]), prefix, "dino")
        expect = arrays[f"expect/{case['index']}"]
        limit = max(1e-5, 4 * case.get("spread_float32_vs_float64", 0))
        np.testing.assert_allclose(found, expect, rtol=0, atol=limit, err_msg=str(case))
        np.testing.assert_array_equal(found[:, :prefix], table[:, :prefix])


def test_moved_positions_are_the_tables_own_further_on():
    table = sincos_table(32, 6).float()
    assert torch.allclose(shifted_sincos(32, 6, (6, 6), torch.zeros(2, 2)), table.expand(2, -1, -1), atol=1e-5)
    larger = sincos_table(32, 9).float().reshape(9, 9, 32)
    moved = shifted_sincos(32, 6, (6, 6), torch.tensor([[1.0, 3.0], [0.0, 2.0]])).reshape(2, 6, 6, 32)
    assert torch.allclose(moved[0], larger[3:, 1:7], atol=1e-5)
    assert torch.allclose(moved[1], larger[2:8, :6], atol=1e-5)
    resized = resize_positions(table, (12, 12), method="size")
    stretched = shifted_sincos(32, 6, (12, 12), torch.zeros(1, 2))
    inside = torch.arange(144).reshape(12, 12)[2:-2, 2:-2].flatten()
    assert (stretched - resized)[:, inside].abs().max() < 0.05
