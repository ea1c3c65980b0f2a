"""Figures show what is in the features: known regions, known points, the same colors for the same clusters."""

import numpy as np
import pytest
import torch
from PIL import Image

from flsl.__main__ import main
from flsl.figures import cluster_maps, match_clusters, point_attention, principal_components

# A 6 x 8 map of three regions whose directions are orthogonal, with a little noise.
REGIONS = torch.zeros(6, 8, dtype=torch.long)
REGIONS[:, 4:] = 1
REGIONS[4:, 2:6] = 2


def region_features(width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(width, 3, generator=generator))[0].T * 10
    features = directions[REGIONS] + 0.05 * torch.randn(6, 8, width, generator=generator)
    return features.permute(2, 0, 1)


def same_partition(labels, regions):
    return len({(int(a), int(b)) for a, b in zip(labels.flatten(), regions.flatten())}) == len(regions.unique())


def test_clusters_are_the_regions():
    (labels,) = cluster_maps([region_features()], clusters=3)
    assert same_partition(labels, REGIONS)


def test_clusters_are_common_to_all_pictures():
    first, second = cluster_maps([region_features(), region_features().flip(2)], clusters=3)
    assert torch.equal(first, second.flip(1))


def test_clusters_are_matched_between_models_of_different_grids():
    (ours,) = cluster_maps([region_features(seed=1)], clusters=3)
    fine = ours.repeat_interleave(2, 0).repeat_interleave(2, 1)
    renamed = (fine + 1) % 3
    (matched,) = match_clusters([renamed], [ours], clusters=3)
    assert torch.equal(matched, fine)


def test_attention_stays_in_the_region_of_its_point():
    weights = point_attention(region_features(), [(0.1, 0.1), (0.9, 0.1), (0.5, 0.99)])
    torch.testing.assert_close(weights.sum(dim=(1, 2)), torch.ones(3))
    for region, weight in enumerate(weights):
        assert weight[region == REGIONS].min() > weight[region != REGIONS].max()


def test_principal_components_separate_regions_and_repeat():
    (colors,) = principal_components([region_features()])
    assert colors.shape == (6, 8, 3)
    assert colors.min() >= 0
    assert colors.max() <= 1
    means = torch.stack([colors[region == REGIONS].mean(dim=0) for region in range(3)])
    spread = max(float(colors[region == REGIONS].std(dim=0)[:2].max()) for region in range(3))
    assert float(torch.pdist(means[:, :2]).min()) > 5 * spread
    assert torch.equal(colors, principal_components([region_features()])[0])


@pytest.fixture
def picture(tmp_path):
    pixels = np.zeros((90, 160, 3), np.uint8)
    pixels[:, 80:] = (250, 200, 30)
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_command_draws_a_sheet_of_several_checkpoints(tmp_path, picture, capsys):
    out = tmp_path / "out"
    names = ["random:vit_micro/16", "random:vit_micro/8"]
    arguments = [item for name in names for item in ("--checkpoint", name)]
    assert main(["show", *arguments, str(picture), "--out", str(out), "--side", "64", "--point", "0.2,0.5"]) == 0
    assert capsys.readouterr().out.strip() == str(out / "scene.png")
    sheet = np.asarray(Image.open(out / "scene.png").convert("RGB"))
    assert sheet.shape[0] > 200
    assert sheet.shape[1] > 900
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 50


def test_help_says_that_a_sheet_is_replaced(capsys):
    """As the report of `gpucheck`: a sheet is drawn again in seconds, and a study draws its own anew."""
    with pytest.raises(SystemExit):
        main(["show", "--help"])
    assert "one of that name is replaced" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--clusters", "1"], "--clusters must be from 2 to 10"),
        (["--block", "9"], "blocks [9] must be ascending and within 0..3"),
        (["missing.png"], "missing.png cannot be read"),
        (["."], "it is a folder"),
        (["--side", "1"], "--side must be from 16 to 4096"),
        (["--device", "foo"], "--device foo cannot be used"),
        (["--checkpoint", "pixels/16", "--block", "2"], "blocks [2] must be ascending and within 0..0"),
        (["--label", "a", "--label", "b"], "2 --label for 1 --checkpoint"),
    ],
)
def test_mistakes_are_explained(tmp_path, picture, capsys, change, message):
    arguments = ["show", "--checkpoint", "random:vit_micro/16", "--out", str(tmp_path / "out"), "--side", "64"]
    assert main([*arguments, str(picture), *change]) == 2
    assert message in capsys.readouterr().err


def test_a_ribbon_is_refused_before_it_fills_the_memory(tmp_path, capsys):
    Image.new("RGB", (3000, 5)).save(tmp_path / "ribbon.png")
    words = ["show", "--checkpoint", "random:vit_micro/16", "--out", str(tmp_path), str(tmp_path / "ribbon.png")]
    assert main(words) == 2
    assert "ribbon.png: 3000x5 pixels are more than 16 times as long as wide" in capsys.readouterr().err


def test_points_outside_are_refused(picture):
    with pytest.raises(SystemExit):
        main(["show", "--checkpoint", "random:vit_micro/16", str(picture), "--out", "x", "--point", "1.5,0"])
