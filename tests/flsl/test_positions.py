"""The sine-cosine table and the resize of position tables equal the published ones."""

import numpy as np
import pytest
import torch
from support.flsl_case import case_files
from support.reference import read_case

from flsl.position import is_sincos, resize_positions, sincos_table


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
        np.testing.assert_allclose(found, expect, rtol=0, atol=1e-5, err_msg=str(case))
        np.testing.assert_array_equal(found[:, :prefix], table[:, :prefix])
