"""Small UAVDT copies on disk for the tests in this folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.uavdt.layout import FRAMES, TRUTH


@pytest.fixture
def make_copy(tmp_path):
    """Write a copy of UAVDT: `make_copy(truths, frames=True)` returns its root."""

    def write(truths, frames=True, size=(96, 64)) -> Path:
        root = tmp_path / "uavdt"
        gt = root / TRUTH
        gt.mkdir(parents=True)
        for t in truths:
            columns = (t.frame, t.target, *t.box.T, t.out_of_view, t.occlusion, t.category)
            np.savetxt(gt / f"{t.name}_gt_whole.txt", np.stack(columns, 1), "%g", ",")
            ones = np.ones(len(t.ignore_frame))
            regions = np.stack((t.ignore_frame, ones, *t.ignore_box.T, ones, ones, ones), 1)
            np.savetxt(gt / f"{t.name}_gt_ignore.txt", regions, "%g", ",")
            folder = root / FRAMES / t.name
            if frames:
                folder.mkdir(parents=True)
                for frame in range(1, t.length + 1):
                    Image.new("RGB", size, (frame % 255, 90, 90)).save(folder / f"img{frame:06d}.jpg")
        return root

    return write
