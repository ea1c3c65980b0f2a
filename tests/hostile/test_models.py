"""Models that compute nonsense end an evaluation with the block that went wrong, never with a score."""

import pytest
import torch

from eval import evaluate
from eval.data.synthesize import synthesize
from flsl import load_encoder
from flsl.runtime.errors import UserError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders of tiny drawn data by benchmark."""
    root = tmp_path_factory.mktemp("drawn")
    synthesize("davis", root / "davis", sequences=1, train_sequences=0, frames=3, height=96, width=128)
    synthesize("coco", root / "coco", count=4, val_count=3, height=96, width=128)
    return {"davis": root / "davis", "knn": root / "coco"}


@pytest.mark.parametrize("benchmark", ["davis", "knn"])
@pytest.mark.parametrize("block", [0, 2])
@pytest.mark.parametrize("precision", ["overflow", "nan"])
def test_features_that_are_no_numbers_name_the_block(benchmark, block, precision, data, tmp_path):
    """Finite weights can overflow; NaN ones can only come from memory, since files with them are refused."""
    loaded = load_encoder("random:vit_micro/16")
    weights = loaded.encoder.blocks[block].mlp.fc2.weight
    with torch.no_grad():
        weights.mul_(1e38 if precision == "overflow" else float("nan")).mul_(1e3 if precision == "overflow" else 1)
    if precision == "overflow":
        torch.nan_to_num_(weights.data, posinf=3e38, neginf=-3e38)
    with pytest.raises(UserError, match=f"NaN or infinite from block {block} of 0..3"):
        evaluate(loaded, benchmark, data[benchmark], tmp_path / "out")
    assert not (tmp_path / "out/record.json").exists()
