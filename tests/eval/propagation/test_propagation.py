"""Label propagation against the reference cases, and the tiled form against the plain one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.reference import read_case, reference_files

from eval.davis.protocols import PROTOCOLS
from eval.propagation.plain import normalize, propagate_plain
from eval.propagation.tiled import propagate
from eval.protocol import find_protocol
from flsl.runtime.errors import UserError

KEPT = Path(__file__).parent / "cases"
DINO = PROTOCOLS["dino"]


def random_case(height, width, contexts, channels, dim=16, seed=0, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    features = normalize(torch.randn(contexts, height, width, dim, generator=generator))
    target = normalize(features[-1] + 0.5 * torch.randn(height, width, dim, generator=generator))
    labels = torch.rand(contexts, height, width, channels, generator=generator).softmax(-1)
    return tuple(on_device(tensor, device) for tensor in (target, features, labels))


def on_device(tensor, device):
    """In float64 on a GPU, where two forms of a product round so differently that near ties would fall either way."""
    return tensor if torch.device(device).type == "cpu" else tensor.to(device, torch.float64)


@pytest.mark.parametrize("form", [propagate_plain, propagate])
@pytest.mark.parametrize("path", reference_files("davis/*.npz", KEPT, "/source_labels"))
def test_reference_label_propagation(path, form, device):
    arrays, config = read_case(path)
    for case in config["cases"]:
        index, height, width = case["index"], case["h"], case["w"]
        constants = config | case  # a case may have its own
        protocol = replace(DINO, **{name: constants[name] for name in ("radius", "topk", "temperature")})
        target = normalize(torch.from_numpy(arrays[f"{index}/target"])).reshape(height, width, -1)
        features = torch.from_numpy(arrays[f"{index}/source_features"]).transpose(1, 2)
        features = normalize(features).reshape(-1, height, width, case["dim"])
        labels = torch.from_numpy(arrays[f"{index}/source_labels"]).permute(0, 2, 3, 1).contiguous()
        target, features, labels = (on_device(tensor, device) for tensor in (target, features, labels))
        result = form(target, features, labels, protocol).permute(2, 0, 1).cpu().numpy()
        expects = [arrays[f"{index}/expect"], arrays[f"{index}/expect_float64"]]
        # Where sources nearly tie for the last place, the public code itself takes another one in another precision.
        clear = np.abs(expects[0] - expects[1]).max(axis=0) <= 1e-6  # (h, w)
        for expect in expects:
            np.testing.assert_allclose(result[:, clear], expect[:, clear], atol=1e-6, err_msg=str(case))
        nearest = np.min([np.abs(result - expect).max(axis=0) for expect in expects], axis=0)
        assert (nearest <= 1e-6).all(), case


SHAPES = {
    "two frames": (9, 14, 1, 2),
    "landscape": (30, 52, 8, 4),
    "portrait": (40, 30, 8, 3),
    "square": (30, 28, 3, 2),
    "240p, ten objects": (15, 27, 8, 11),
    "smaller than the window": (5, 7, 4, 2),
    "one token": (1, 1, 2, 2),
}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_tiles_equal_the_definition(shape, protocol, device):
    case = random_case(*shape, device=device)
    torch.testing.assert_close(propagate(*case, protocol), propagate_plain(*case, protocol), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "change", [{"radius": 0}, {"radius": 3}, {"topk": 1}, {"topk": 40}, {"window": "circle"}], ids=str
)
def test_tiles_equal_the_definition_for_other_constants(change, device):
    protocol = replace(DINO, **change)
    case = random_case(17, 23, 5, 3, device=device)
    for tile in (4, 17, 100):
        expect = propagate_plain(*case, protocol)
        torch.testing.assert_close(propagate(*case, protocol, tile=tile), expect, atol=1e-5, rtol=0)


@pytest.mark.parametrize("protocol", [protocol for protocol in PROTOCOLS.values() if protocol.ties == "keep"], ids=str)
@pytest.mark.parametrize("equal", ["repeated frames", "flat frames"])
def test_ties_at_the_threshold_all_stay(equal, protocol, device):
    target, features, labels = random_case(12, 16, 8, 3, device=device)
    if equal == "repeated frames":  # each value comes three times or more, so the fifth largest is always tied
        features = features[[0, 0, 0, 3, 3, 3, 3, 3]]
    else:
        features = torch.zeros_like(features)
        features[..., 0] = 1.0
    result = propagate(target, features, labels, protocol)
    torch.testing.assert_close(result, propagate_plain(target, features, labels, protocol), atol=1e-5, rtol=0)


def test_tied_sources_share_the_weight():
    features = torch.zeros(3, 4, 4, 2)
    features[..., 0] = 1.0
    labels = torch.rand(3, 4, 4, 2)
    result = propagate(features[0], features, labels, DINO)
    torch.testing.assert_close(result, labels.mean(dim=(0, 1, 2)).expand(4, 4, 2))


def test_window_of_the_first_frame_is_what_tells_videowalk_from_dino():
    features = torch.zeros(2, 1, 40, 2)
    features[..., 1] = 1.0  # unlike the target everywhere ...
    features[0, 0, 39] = torch.tensor([1.0, 0.0])  # ... but far away in the first frame
    labels = torch.zeros(2, 1, 40, 2)
    labels[..., 0] = 1.0
    labels[0, 0, 39] = torch.tensor([0.0, 1.0])
    target = torch.tensor([1.0, 0.0]).expand(1, 40, 2)
    for form in (propagate, propagate_plain):
        assert form(target, features, labels, PROTOCOLS["dino"])[0, 0, 1] == 0
        assert form(target, features, labels, PROTOCOLS["videowalk"])[0, 0, 1] > 0.9


def test_unknown_protocol_names_the_nearest():
    with pytest.raises(UserError, match="dinov3"):
        find_protocol("dinov4", PROTOCOLS)
    assert find_protocol("dino", PROTOCOLS).key("davis2016") == "davis2016/dino@1"
