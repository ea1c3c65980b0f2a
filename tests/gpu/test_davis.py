"""Label propagation on a device: frames in batches, and the masks of a drawn clip, against the CPU's."""

import contextlib

import numpy as np
import pytest
import torch
from PIL import Image
from support.gpu_step import need_cuda

from eval.data.synthesize import synthesize
from eval.davis.dataset import open_dataset
from eval.davis.protocols import PROTOCOLS
from eval.propagation.features import encode_ahead
from eval.propagation.segment import segment_video
from flsl.checkpoint import load_encoder
from flsl.runtime.stopwatch import Stopwatch

DINO = PROTOCOLS["dino"]
FRAMES = {16: 8, 8: 4}
DIFFERENT = 0.005  # share of a frame's pixels that may have another label; near ties go either way by rounding


def draw(root, frames, height=120, width=160):
    """One drawn clip."""
    with contextlib.redirect_stdout(None):
        synthesize("davis", root, 0, sequences=1, train_sequences=0, frames=frames, height=height, width=width)
    (video,) = open_dataset(root, "val").videos
    return video


def test_frames_in_batches_have_the_features_of_single_frames(device, tmp_path):
    video = draw(tmp_path / "data", 3)
    found = []
    for where, in_batches, bfloat16 in (
        (torch.device("cpu"), False, False),
        (device, True, False),
        (device, True, True),
    ):
        encoder, watch = load_encoder("random:vit_micro/16", where).encoder, Stopwatch(where)
        with encode_ahead(encoder, video.frames, video.size, DINO, where, bfloat16, watch, in_batches) as ahead:
            found.append(torch.stack([features.cpu() for features in ahead]))
        assert watch.phases["encoder"] > 0
    single, together, rounded = found
    assert len(single) == 3
    torch.testing.assert_close(together, single, rtol=0, atol=2e-5)
    assert 1e-4 < (rounded - single).abs().max() < 0.1  # bfloat16 has 8 bits


@pytest.mark.parametrize("patch_size", FRAMES)
def test_masks_equal_the_cpus_in_nearly_all_pixels(patch_size, device, tmp_path, record_property):
    need_cuda(device)
    video = draw(tmp_path / "data", FRAMES[patch_size], 480, 854)
    masks = {}
    for name, where, bfloat16 in (("cpu", "cpu", False), ("device", device, False), ("bf16", device, True)):
        encoder = load_encoder(f"random:vit_small/{patch_size}", where).encoder
        out = tmp_path / name
        segment_video(encoder, video, DINO, out, device=torch.device(where), bfloat16=bfloat16)
        masks[name] = np.stack([np.asarray(Image.open(out / mask.name)) for mask in video.masks])
    shares = {name: (masks[name] != masks["cpu"]).mean(axis=(1, 2)) for name in ("device", "bf16")}
    record_property("patch_size", patch_size)
    record_property("largest_share_of_different_pixels", float(shares["device"].max()))
    record_property("in_bf16", float(shares["bf16"].max()))
    assert len(np.unique(masks["cpu"])) > 1
    assert shares["device"].max() <= DIFFERENT
