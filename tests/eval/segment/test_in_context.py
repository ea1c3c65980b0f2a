"""Label transfer: the public implementation's cases, the search against all products, and the sampling."""

import numpy as np
import pytest
import torch
from support.reference import read_case, reference_files

from eval import search
from eval.metrics.segmentation import match_clusters, merge_clusters
from eval.search import Index
from eval.segment.in_context import to_mask, transfer_labels
from eval.segment.memory import Memory, lengths_of, patch_classes, sample_order
from flsl import label_transfer
from flsl.confusion import confusion, mean_iou

TRANSFER = {"neighbors": 30, "temperature": 0.02}


def patch_tokens(features, shape, config):
    """The tokens of patches, which follow class and register tokens where a case has them."""
    patches = shape[1] // config["patch_size"] * (shape[2] // config["patch_size"])
    return torch.from_numpy(features[:, features.shape[1] - patches :])


def memory_of(arrays, config):
    if "memory_features" in arrays:
        # Shares of a patch are whole numbers of pixels.
        pixels = np.round(arrays["memory_labels"].astype(np.float64) * config["patch_size"] ** 2)
        features = torch.from_numpy(arrays["memory_features"]).float()
        return Memory(features, torch.from_numpy(pixels.astype(np.int16)))
    masks = np.where(arrays["train_masks"] == config["ignore"], 255, arrays["train_masks"])
    features = patch_tokens(arrays["train_features"], masks.shape, config)
    labels = torch.from_numpy(patch_classes(masks, config["patch_size"], config["classes"])).flatten(0, 1)
    return Memory(features.flatten(0, 1), labels, lengths_of(features.flatten(0, 1)))


def transfer_plainly(queries, memory, **constants):
    """By one matrix of all cosines."""
    shares = memory.shares(torch.arange(len(memory.features), device=memory.features.device))
    return label_transfer.transfer_labels(queries, memory.features.float(), shares, **constants)


@pytest.mark.parametrize("path", reference_files("segment/*.npz", holding="val_features"))
def test_segment_in_context_reference(path, device):
    arrays, config = read_case(path)
    memory = memory_of(arrays, config).to(device)
    index = Index(memory.features, memory.lengths)
    constants = {"neighbors": config["n_neighbours"], "temperature": config["beta"]}
    truth = np.where(arrays["val_masks"] == config["ignore"], 255, arrays["val_masks"])
    total = np.zeros_like(arrays["expect/confusion"])
    turned = 0
    grid = [side // config["patch_size"] for side in truth.shape[1:]]
    for image, features in enumerate(patch_tokens(arrays["val_features"], truth.shape, config).float().to(device)):
        shares = transfer_labels(features, memory, index, **constants)
        np.testing.assert_allclose(shares.cpu(), arrays["expect/label_hat"][image], rtol=0, atol=1e-5)
        plain = transfer_plainly(features, memory, **constants)
        np.testing.assert_allclose(plain.cpu(), arrays["expect/label_hat"][image], rtol=0, atol=1e-5)
        prediction = to_mask(shares.unflatten(0, grid), truth[image].shape)
        turned += (prediction != arrays["expect/prediction"][image]).sum()
        total += confusion(truth[image], prediction, config["classes"])
    assert turned <= 20
    assert np.abs(total - arrays["expect/confusion"]).sum() <= 2 * turned
    assert mean_iou(total) == pytest.approx(100 * config["miou_identity"], abs=1e-2)
    matched = merge_clusters(total, match_clusters(total, "one_to_one"))
    assert mean_iou(matched) == pytest.approx(100 * config["miou_hungarian"], abs=1e-2)


def drawn_features(count, width, spectrum, seed=0):
    """Features that mostly fill the first directions, or all alike; some of them twice."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=generator)
    if spectrum == "few directions":
        features *= 0.9 ** torch.arange(width)
        features += 0.5
        turn, _ = torch.linalg.qr(torch.randn(width, width, generator=generator))
        features = features @ turn
    features[count // 2 : count // 2 + 50] = features[:50]
    return features


@pytest.mark.parametrize("spectrum", ["few directions", "all alike"])
@pytest.mark.parametrize(("width", "dtype"), [(96, torch.float16), (5, torch.float32), (200, torch.float32)])
@pytest.mark.parametrize("cell", [60, 1000])  # entries: fewer than neighbors in some of them, or more than a tile
def test_passing_over_entries_by_bounds_finds_the_same(spectrum, width, dtype, cell, monkeypatch):
    monkeypatch.setattr(search, "TILE", 320)
    monkeypatch.setattr(search, "BLOCK", 100)
    monkeypatch.setattr(search, "CELL", cell)
    features = drawn_features(7 * 320 + 77, width, spectrum).to(dtype)
    lengths = features.float().norm(dim=1)
    queries = torch.nn.functional.normalize(drawn_features(130, width, spectrum, seed=1), dim=1)
    index = Index(features, lengths)
    assert index.bounds
    expected = (queries @ (features.float() / lengths[:, None]).T).topk(30, dim=1)
    for found in (index, Index(features, lengths, bounds=False)):
        values, entries = found.nearest(queries, 30)
        torch.testing.assert_close(values, expected.values, rtol=0, atol=1e-6)
        # Where two cosines are equal, either entry is right.
        assert all(len(set(row)) == 30 for row in entries.tolist())
        exact = (queries[:, None] * (features.float() / lengths[:, None])[entries]).sum(dim=2)
        torch.testing.assert_close(exact, values, rtol=0, atol=1e-6)


def test_label_transfer_equals_the_plain_one(device, monkeypatch):
    monkeypatch.setattr(search, "TILE", 320)
    features = drawn_features(9 * 320, 48, "few directions")
    labels = torch.from_numpy(np.random.default_rng(0).multinomial(256, [0.2] * 5, len(features)).astype(np.int16))
    labels[len(features) // 2 :][:50] = labels[:50]  # of features that are there twice either may vote
    memory = Memory(features.to(device), labels.to(device), features.norm(dim=1).to(device))
    queries = drawn_features(300, 48, "few directions", seed=2).to(device)
    fast = transfer_labels(queries, memory, Index(memory.features, memory.lengths), **TRANSFER)
    torch.testing.assert_close(fast, transfer_plainly(queries, memory, **TRANSFER), rtol=0, atol=2e-5)
    torch.testing.assert_close(fast.sum(dim=1).cpu(), torch.ones(300))


def test_patches_count_their_pixels_and_void_as_class_0():
    masks = np.random.default_rng(0).integers(0, 4, (2, 16, 24)).astype(np.uint8)
    masks[masks == 3] = 255
    labels = patch_classes(masks, 8, 3)
    assert labels.shape == (2, 6, 3)
    patch = masks[1, 8:16, 16:24]
    assert labels[1, 5].tolist() == [int(((patch == 0) | (patch == 255)).sum()), *((patch == c).sum() for c in (1, 2))]
    assert (labels.sum(axis=2) == 64).all()
    assert patch_classes(np.zeros((1, 32, 16), np.uint8), 16, 2)[0].tolist() == [[256, 0], [256, 0]]


def test_a_bounded_memory_prefers_rare_classes_and_is_the_beginning_of_a_larger_one():
    labels = np.zeros((400, 3), np.int16)
    labels[:, 0] = 256
    labels[:20] = [0, 0, 256]  # a twentieth of the tokens
    orders = [sample_order(labels, np.random.default_rng(seed)) for seed in range(50)]
    assert all(sorted(order) == list(range(400)) for order in orders)
    rare = np.mean([(order[:40] < 20).mean() for order in orders])
    # A score below s has probability s / 20 for the 20 rare tokens, s / 380 for the others: 40 of them at s = 20.
    assert rare == pytest.approx(0.5, abs=0.05)
    np.testing.assert_array_equal(sample_order(labels, np.random.default_rng(7)), orders[7])
