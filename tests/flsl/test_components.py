"""What tokens are made of, on token sets whose making is known."""

import pytest
import torch

from flsl.components import effective_rank, measure, share_attended, without_place
from flsl.confusion import mean_iou
from flsl.label_transfer import patch_labels, transfer_labels

SIDE, PATCH, COUNT = 8, 4, 12


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def images(random):
    """Smooth pictures, so that patches differ in color."""
    small = torch.randn(COUNT, 3, SIDE, SIDE, generator=random)
    return torch.nn.functional.interpolate(small, scale_factor=PATCH, mode="nearest")


def places():
    y, x = torch.meshgrid(torch.arange(SIDE) / SIDE, torch.arange(SIDE) / SIDE, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), x.flatten() * y.flatten()], dim=1)


def test_tokens_of_one_direction_have_rank_one(images, random):
    amounts, direction = torch.randn(COUNT, SIDE**2, 1, generator=random), torch.randn(16, generator=random)
    found = measure(amounts * direction, images, 0.0)
    assert found.rank == pytest.approx(1)
    assert max(found.place, found.between_images) < 0.05


def test_rank_counts_directions_of_equal_variance(random):
    directions = torch.linalg.qr(torch.randn(16, 16, generator=random)).Q[:5]
    tokens = torch.randn(40, 50, 5, generator=random) @ directions + 3
    assert effective_rank(tokens) == pytest.approx(5, abs=0.02)
    assert effective_rank(torch.ones(2, 3, 4)) == pytest.approx(1)  # all alike: nothing is divided by 0


def test_tokens_that_say_their_place(images, random):
    tokens = (places() @ torch.randn(3, 16, generator=random)).expand(COUNT, -1, -1)
    found = measure(tokens, images, 0.1)
    assert found.place == pytest.approx(1)
    assert found.between_images == pytest.approx(0, abs=1e-9)
    assert found.color < 0.1


def test_what_place_explains_is_taken_away(images, random):
    content = torch.randn(COUNT, SIDE**2, 16, generator=random)
    mixed = content + 5 * places() @ torch.randn(3, 16, generator=random)
    left = without_place(mixed, SIDE, SIDE)
    assert measure(mixed, images, 0.0).place > 0.5
    assert measure(left, images, 0.0).place == pytest.approx(0, abs=1e-9)
    assert (left - content).flatten(0, 1).std(dim=0).max() < 0.3  # the mean stays


def test_tokens_that_say_their_color(images, random):
    colors = torch.nn.functional.avg_pool2d(images, PATCH).flatten(2).transpose(1, 2)
    found = measure(torch.cat([colors, colors**2], dim=-1) @ torch.randn(6, 16, generator=random), images, 0.1)
    assert found.color == pytest.approx(1)
    assert found.place < 0.1


def test_tokens_that_say_their_image(images, random):
    found = measure(torch.randn(COUNT, 1, 16, generator=random).expand(-1, SIDE**2, -1), images, 0.1)
    assert found.between_images == pytest.approx(1)
    assert found.attended == pytest.approx(1)
    mixed = torch.randn(COUNT, 1, 16, generator=random) + torch.randn(COUNT, SIDE**2, 16, generator=random)
    assert measure(mixed, images, 0.1).between_images == pytest.approx(0.5, abs=0.1)


def test_attended_is_the_share_of_tokens_in_the_mean_shift(random):
    groups = torch.eye(4)[torch.arange(SIDE**2) % 4].expand(3, -1, -1)
    assert share_attended(groups, 50.0) == pytest.approx(1 / 4)
    assert share_attended(groups, 0.0) == pytest.approx(1)


def test_oblong_images_are_measured(random):
    assert (
        measure(torch.randn(2, 4 * 6, 8, generator=random), torch.randn(2, 3, 32, 48, generator=random), 0.1).rank > 4
    )


def test_labels_go_to_like_patches():
    masks = torch.zeros(1, 4, 4, dtype=torch.long)
    masks[:, :, 2:], masks[:, 0, 0] = 1, 255
    labels = patch_labels(masks, (2, 2), 2)
    assert labels.tolist() == [[[0.75, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]]
    bank = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    found = transfer_labels(torch.tensor([[2.0, 0.1], [0.1, 3]]), bank, labels[0], neighbors=2)
    torch.testing.assert_close(found, torch.tensor([[0.875, 0.0], [0.0, 1.0]]))


def test_mean_iou_of_a_perfect_prediction(random):
    assert mean_iou(torch.diag(torch.tensor([3, 4, 0])).numpy(), absent="left out") == 100
