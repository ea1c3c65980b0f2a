"""`uavdt/official` equals the official toolkit on every case file kept here or in the folder of reference cases."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import uavdt_reference as reference
from support.reference import read_case, reference_files
from support.uavdt_case import detections_of, truth_of

from eval.uavdt.files import read_detections
from eval.uavdt.layout import open_layout
from eval.uavdt.official import pool, score_sequence

CASES = Path(__file__).parent / "cases"


def read_boxes(path: Path):
    """Pairs of truth and detections from the arrays of a case file, whose columns are those of the text files; what is expected."""
    arrays, expected = read_case(path)
    names = sorted(key.split("/")[0] for key in arrays if key.endswith("/detections"))
    pairs = []
    for name in names:
        gt, ignore, found = (arrays[f"{name}/{kind}"] for kind in ("gt", "ignore", "detections"))
        length = int(max([gt[:, 0].max(initial=1), found[:, 0].max(initial=1)]))
        truth = truth_of(name, length, gt[:, [0, 2, 3, 4, 5, 6, 7, 8]], ignore[:, [0, 2, 3, 4, 5]])
        pairs.append((truth, detections_of(name, found[:, [0, 2, 3, 4, 5, 6]])))
    return pairs, arrays, expected


def check(pairs, expected, arrays):
    scores = [score_sequence(*pair) for pair in pairs]
    curve = pool(scores)
    assert curve.average_precision == pytest.approx(expected["AP_overall"], abs=1e-9)
    np.testing.assert_allclose(curve.recall, arrays["expect/recall"].ravel(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(curve.precision, arrays["expect/precision"].ravel(), rtol=0, atol=1e-12)
    assert len(curve.recall) == expected["detections_after_ignore"]
    alone = {score.truth.name: score for score in scores}
    for name, values in expected["sequences"].items():
        assert pool([alone[name]]).average_precision == pytest.approx(values["AP_alone"], abs=1e-9)
        assert alone[name].dropped == values["dropped_by_ignore_boxes"]
        assert len(alone[name].truth.frame) == values["ground_truth"]


@pytest.mark.parametrize("path", reference_files("uavdt/*.npz", CASES))
def test_reference_arrays(path):
    pairs, arrays, expected = read_boxes(path)
    check(pairs, expected, arrays)
    assert reference.average_precision(pairs)[0] == pytest.approx(expected["AP_overall"], abs=1e-9)


@pytest.mark.parametrize("path", reference_files("uavdt/*.json"))
def test_reference_files(path):
    """The same through the readers of the official layout."""
    folder = path.with_name(path.stem.removeprefix("toolkit_"))
    layout = open_layout(folder)
    names = layout.sequences("test")
    (detector,) = (folder / "RES_DET").iterdir()
    pairs = [(layout.read_truth(n), read_detections(detector, n, layout.length(n))) for n in names]
    assert len(pairs) == 20
    check(pairs, json.loads(path.read_text()), read_case(path.with_suffix(".npz"))[0])
