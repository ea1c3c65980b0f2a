"""Linear heads: schedules, losses and windows against plain computations; training that resumes, learns and complains."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import functional

from eval.normalization import normalize
from eval.segment.crops import adjust_hue, change_colors, pad, resized_crop, scaled_crop, small_truth, squash
from eval.segment.datasets import open_segmentation
from eval.segment.linear_head import LinearHead, predict_sliding, predict_squashed, token_map, windows
from eval.segment.linear_training import HEAD, STATE, HeadTraining, backward
from eval.segment.protocols import PROTOCOLS
from flsl.checkpoint import load_encoder
from flsl.runtime.errors import UserError
from flsl.runtime.preemption import Preempted

LEOPART = replace(PROTOCOLS["linear-leopart"], side=64, mask_side=10, batch_size=4, epochs=12, drop_after=8)
DINOV3 = replace(PROTOCOLS["linear-dinov3"], side=64, batch_size=4, iterations=30, warm_up=5, stride=43)
COLORS = np.array([[250, 30, 30], [30, 250, 30], [30, 30, 250]], np.uint8)


@pytest.fixture
def encoder(device):
    return load_encoder("random:vit_micro/16", device).encoder.eval()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Ten training and four validation images, 96 x 128, of colored stripes; a class is a color, some pixels are void."""
    root = tmp_path_factory.mktemp("stripes")
    random = np.random.default_rng(0)
    (root / "classes.txt").write_text("red\ngreen\nblue\n")
    for split, count in (("train", 10), ("val", 4)):
        for index in range(count):
            mask = np.repeat(random.permutation(3), [48, 32, 48])[None].repeat(96, axis=0).astype(np.uint8)
            image = np.clip(COLORS[mask] + random.normal(0, 20, (96, 128, 3)), 0, 255).astype(np.uint8)
            mask[:6] = 255
            for kind, pixels in (("images", image), ("masks", mask)):
                path = root / kind / split / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return open_segmentation(root)


def training(protocol, encoder, data, out, **fields):
    device = next(encoder.parameters()).device
    return HeadTraining(protocol, encoder, data.split("train"), 3, out, device, **fields)


def test_constants_are_the_published_ones():
    leopart, dinov3 = PROTOCOLS["linear-leopart"], PROTOCOLS["linear-dinov3"]
    assert leopart.steps(10_582) == 25 * 176
    assert [leopart.rate(epoch * 176, 10_582) for epoch in (0, 19, 20, 24)] == pytest.approx([0.01, 0.01, 1e-3, 1e-3])
    assert dinov3.steps(20_210) == 40_000
    # WarmupOneCycleLR: stepped from the second step on, so steps 0 and 1 have the same rate
    rates = {0: 1e-9, 1: 1e-9, 751: 1e-3 * 0.5 * (1 - 750 / 40_000), 20_000: 5e-4, 39_999: 0}
    for step, rate in rates.items():
        assert dinov3.rate(step, 20_210) == pytest.approx(rate, rel=1e-3, abs=1e-11)
    assert (leopart.batch(10_582), leopart.momentum, leopart.weight_decay, leopart.area) == (60, 0.9, 1e-4, (0.8, 1.0))
    assert (dinov3.batch(20_210), dinov3.weight_decay, dinov3.ratios, dinov3.stride) == (16, 1e-3, (0.5, 2.0), 341)
    assert (leopart.dropout, dinov3.dropout, leopart.mask_side) == (0.1, 0.1, 100)
    assert (leopart.input_side(14), dinov3.input_side(14), dinov3.input_side(8)) == (448, 504, 512)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_loss_of_resized_logits_is_that_of_resized_tokens(batch_norm, device):
    """The source resizes tokens, runs the head on all pixels, and takes torch's mean over those that are labeled."""
    random = torch.Generator().manual_seed(0)
    tokens = torch.randn(3, 8, 5, 7, generator=random).to(device)
    labels = torch.randint(0, 4, (3, 20, 30), generator=random, dtype=torch.uint8).to(device)
    labels[:, :4] = 255
    ours, plain = (LinearHead(8, 4, batch_norm).to(device) for _ in range(2))
    found = backward(ours(tokens), labels, int((labels != 255).sum()))
    normalized = plain.norm(tokens)  # batch normalization comes before the logits are resized
    pixels = F.interpolate(normalized, (20, 30), mode="bilinear", align_corners=False)
    loss = F.cross_entropy(plain.classify(pixels), labels.long(), ignore_index=255)
    loss.backward()
    assert found == pytest.approx(loss.item(), rel=1e-6)
    for mine, theirs in zip(ours.parameters(), plain.parameters()):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-7)


def test_crops_keep_image_and_mask_together():
    """Every pixel's color names its class, whatever crop, flip and scale were drawn."""
    mask = np.random.default_rng(0).integers(0, 3, (6, 8)).astype(np.uint8).repeat(30, axis=0).repeat(30, axis=1)
    image = COLORS[mask]
    flips = set()
    for number in range(12):
        crop, labels = resized_crop(image, mask, np.random.default_rng(number), side=64, mask_size=64, scale=(0.8, 1.0))
        assert (crop.shape, labels.shape) == ((3, 64, 64), (64, 64))
        assert (crop.argmax(dim=0) == labels).float().mean() > 0.93
        crop, labels = scaled_crop(image, mask, np.random.default_rng(number), short=96, side=96, ratios=(0.5, 2.0))
        assert crop.shape[1:] == labels.shape
        assert max(labels.shape) <= 96
        flips.add(tuple(labels.shape))
        assert len(labels.unique()) > 1
    assert len(flips) > 2  # images that were scaled down are smaller than the crop


def test_half_of_the_crops_are_flipped():
    mask = np.arange(3, dtype=np.uint8).repeat(30)[None].repeat(90, axis=0)  # classes 0, 1, 2 from left to right
    turned = []
    for number in range(80):
        random = np.random.default_rng(number)
        _, small = resized_crop(COLORS[mask], mask, random, side=64, mask_size=64, scale=(1.0, 1.0))
        _, scaled = scaled_crop(COLORS[mask], mask, random, short=96, side=96, ratios=(1.0, 1.0))
        turned.append([labels[0, 0] > labels[0, -1] for labels in (small, scaled)])
    assert np.mean(turned, axis=0) == pytest.approx(0.5, abs=0.15)


def test_what_a_crop_lacks_is_void():
    image, labels = pad(torch.ones(3, 4, 6), torch.ones(4, 6, dtype=torch.uint8), 8)
    assert (image.shape, labels.shape) == ((3, 8, 8), (8, 8))
    assert (image[:, :4, :6] == 1).all()
    assert (labels[:4, :6] == 1).all()
    assert image.sum() == 3 * 24
    assert (labels == 255).sum() == 64 - 24


def test_small_truth_looks_where_the_source_looks():
    """Pillow's nearest neighbor to the square, then torch's."""
    mask = np.random.default_rng(0).integers(0, 9, (50, 70)).astype(np.uint8)
    squashed = np.array(Image.fromarray(mask).resize((448, 448), Image.Resampling.NEAREST))
    wanted = F.interpolate(torch.from_numpy(squashed)[None, None].float(), (100, 100), mode="nearest")[0, 0]
    assert (small_truth(mask, 448, 100) == wanted.numpy()).all()


def test_windows_cover_every_pixel():
    assert [(r.start, c.start) for r, c in windows((512, 683), 512, 341)] == [(0, 0), (0, 171)]
    assert [c.start for _, c in windows((512, 1200), 512, 341)] == [0, 341, 682, 688]
    seen = np.zeros((700, 1200), int)
    for rows, columns in windows((700, 1200), 512, 341):
        assert (rows.stop - rows.start, columns.stop - columns.start) == (512, 512)
        seen[rows, columns] += 1
    assert seen.min() >= 1
    for length in (512, 513, 852, 853, 854, 1194, 1195):  # as few as cover it
        assert len([*windows((512, length), 512, 341)]) == 1 + -(-(length - 512) // 341)


def test_a_tenth_of_the_channels_is_dropped_and_the_others_grow_for_it(encoder, data, tmp_path, monkeypatch):
    plain, drawn = LinearHead.forward, []

    def forward(self, tokens, kept=None):
        drawn.append(kept)
        return plain(self, tokens, kept)

    monkeypatch.setattr(LinearHead, "forward", forward)
    training(LEOPART, encoder, data, tmp_path).run()
    factors = torch.cat(drawn).cpu()
    assert factors.unique().tolist() == [0, pytest.approx(1 / 0.9)]
    assert (factors == 0).float().mean() == pytest.approx(0.1, abs=0.02)
    assert len({tuple(row) for row in factors.tolist()}) > len(factors) // 2  # each image has a draw of its own


@pytest.mark.parametrize("protocol", [LEOPART, DINOV3], ids=["leopart", "dinov3"])
def test_heads_learn_colors(protocol, encoder, device, data, tmp_path):
    """The whole path on an encoder of random weights: crops, head, prediction."""
    head = training(replace(protocol, learning_rate=0.1), encoder, data, tmp_path).run()
    val, right = data.split("val"), []
    for index in range(len(val)):
        image, mask = val.image(index), val.mask(index)
        if protocol is LEOPART:
            square = normalize(squash(image, (64, 64)), encoder.config.image_mean, encoder.config.image_std)[None].to(
                device
            )
            mask, found = small_truth(mask, 64, 10), predict_squashed(head, token_map(encoder, square, "x"), 10)[0]
        else:
            found = predict_sliding(head, encoder, image, DINOV3, "x")
        assert found.shape == mask.shape
        assert found.dtype == np.uint8
        right.append((found == mask)[mask != 255].mean())
    assert np.mean(right) > 0.8
    assert (tmp_path / HEAD).is_file()
    assert not (tmp_path / STATE).exists()


@pytest.mark.parametrize("protocol", [LEOPART, DINOV3], ids=["leopart", "dinov3"])
def test_an_interrupted_training_ends_with_the_same_bytes(protocol, encoder, device, data, tmp_path, monkeypatch):
    protocol = replace(protocol, iterations=12) if protocol is DINOV3 else replace(protocol, epochs=6, drop_after=4)
    whole = training(protocol, encoder, data, tmp_path / "whole").run()
    broken = training(protocol, encoder, data, tmp_path / "broken")
    step, asked = HeadTraining._step, []

    def stopped(self, head, optimizer, number, *batch):
        if number == 7 and not asked:
            asked.append(number)
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, head, optimizer, number, *batch)

    monkeypatch.setattr(HeadTraining, "_step", stopped)
    with pytest.raises(Preempted, match="step 8/"):
        broken.run()
    assert (tmp_path / "broken" / STATE).is_file()
    again = broken.run()
    for name, values in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], values), name


def test_images_that_are_encoded_at_once_change_nothing(encoder, data, tmp_path):
    short = replace(LEOPART, epochs=1)
    one, other = (training(short, encoder, data, tmp_path / str(n), at_once=n).run().classify.weight for n in (1, 4))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_head_and_another_another(encoder, data, tmp_path):
    short = replace(LEOPART, epochs=1)
    one, same, other = (
        training(short, encoder, data, tmp_path / name, seed=seed).run().classify.weight
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_fewer_images_than_a_batch(encoder, data, tmp_path):
    protocol = replace(LEOPART, batch_size=60, epochs=2)
    assert (protocol.steps(10), protocol.batch(10)) == (2, 10)
    training(protocol, encoder, data, tmp_path).run()


@pytest.mark.parametrize("name", [STATE, HEAD])
def test_a_damaged_state_is_named(name, encoder, data, tmp_path):
    other = {"step": 3, "head": LinearHead(8, 2, False).state_dict(), "optimizer": {}}
    for write in (lambda path: path.write_bytes(b"half"), lambda path: torch.save(other, path)):
        write(tmp_path / name)
        with pytest.raises(UserError, match=rf"{name} cannot be read.*Delete it"):
            training(LEOPART, encoder, data, tmp_path).run()


def test_colors_change_within_bounds_and_in_half_of_the_draws():
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 16, 16)).astype(np.uint8))
    changed = [change_colors(image, np.random.default_rng(number)) for number in range(40)]
    assert {(one.dtype, tuple(one.shape)) for one in changed} == {(torch.float32, (3, 16, 16))}
    assert all(one.min() >= 0 and one.max() <= 255 and (one == one.round()).all() for one in changed)
    untouched = sum(torch.equal(one, image.float()) for one in changed)
    assert 0 < untouched < 10  # 1 in 16


@pytest.mark.parametrize("turn", [-0.5, -1 / 6, 0.0, 0.123, 1 / 3, 0.5])
def test_hue_is_turned_to_the_bytes_of_torchvision(turn):
    levels = torch.cat([torch.arange(0, 256, 5), torch.tensor([1, 2, 3, 127, 128, 254])]).to(torch.uint8)
    image = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).reshape(3, len(levels), -1)
    assert torch.equal(adjust_hue(image, turn), functional.adjust_hue(image, turn))


def test_features_and_losses_that_are_no_numbers_stop_it(encoder, data, tmp_path):
    with pytest.raises(UserError, match=r"step .*the loss is (nan|inf)"):
        training(replace(LEOPART, learning_rate=1e38), encoder, data, tmp_path).run()
    sick = load_encoder("random:vit_micro/16", "cpu").encoder.eval()
    sick.blocks[2].mlp.fc1.bias.data.fill_(float("nan"))
    with pytest.raises(UserError, match=r"step 1, images .*NaN or infinite from block 2"):
        training(LEOPART, sick, data, tmp_path).run()


def test_progress_says_loss_and_time_left(encoder, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("eval.progress.LOG", 0)  # so short a phase says nothing otherwise
    training(replace(LEOPART, epochs=2), encoder, data, tmp_path).run()
    first, *_, last = capsys.readouterr().err.splitlines()
    assert float(first.split("loss ")[1].split()[0]) == pytest.approx(np.log(3), rel=0.3)  # per pixel: by chance
    assert "training the head: step 4/4" in last
    assert last.endswith("0:00:00 left")
