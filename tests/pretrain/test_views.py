"""Views: the fast photometric paths equal PIL's, the draws have the published distribution, crops are in range."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from flsl.architecture import EncoderConfig
from flsl.random_crop import draw_box
from flsl.runtime.images import ImageError
from pretrain.apply_batched import apply_batched
from pretrain.apply_opencv import apply_opencv
from pretrain.apply_pil import apply_pil
from pretrain.crops import cut_views, cut_views_pil, decode
from pretrain.dataset import ViewDataset
from pretrain.methods.flsl import Recipe, Views, draw_boxes
from pretrain.photometric import MEAN, STD, Photometric, as_tensor, draw_photometric
from pretrain.recipe import Runtime
from pretrain.views import MultiCrop, plan_crops

NOTHING = {
    "order": -1,
    "brightness": 1.0,
    "contrast": 1.0,
    "saturation": 1.0,
    "hue": 0.0,
    "gray": False,
    "blur": 0.0,
    "solarize": False,
}
# order 0 is brightness, contrast, saturation, hue
OPERATIONS = {
    "nothing": ({}, 0.01),
    "no jitter, whatever its factors": ({"brightness": 1.3, "hue": 0.1}, 0.01),
    "brightness": ({"order": 0, "brightness": 1.3}, 1.7),
    "contrast": ({"order": 0, "contrast": 0.6}, 1.7),
    "saturation": ({"order": 0, "saturation": 1.2}, 1.7),
    "hue": ({"order": 0, "hue": -0.1}, 1.7),
    "gray": ({"gray": True}, 0.6),
    "blur": ({"blur": 1.5}, 1.2),
    "slight blur": ({"blur": 0.3}, 1.2),
    "solarize": ({"solarize": True}, 0.6),
    "all, in another order": (
        {"order": 17, "brightness": 0.7, "contrast": 1.3, "saturation": 0.9, "hue": 0.07, "blur": 0.8},
        2.0,
    ),
}


def picture(seed=0, size=64):
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return small.resize((size, size), Image.Resampling.BICUBIC)


def levels(view):
    """Undo the normalization: gray levels `(..., 3, H, W)`, on the CPU."""
    return (view.cpu() * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]) * 255


@pytest.mark.parametrize("name", OPERATIONS)
def test_fast_paths_equal_pil(name, device):
    change, limit = OPERATIONS[name]
    parameters = Photometric(**{**NOTHING, **change})
    for seed in range(3):
        image = picture(seed)
        expected = np.array(apply_pil(image, parameters)).astype(float)
        array = np.array(image)
        assert np.abs(apply_opencv(array, parameters) - expected).mean() <= limit
        crop = torch.from_numpy(array).permute(2, 0, 1)[None].to(device)
        batched = levels(apply_batched(crop, as_tensor([parameters]).to(device)))[0].permute(1, 2, 0).numpy()
        assert np.abs(batched - expected).mean() <= limit


def test_batched_rows_do_not_mix(device):
    random = np.random.default_rng(0)
    parameters = [draw_photometric(random) for _ in range(12)]
    crops = torch.stack([torch.from_numpy(np.array(picture(i))).permute(2, 0, 1) for i in range(12)]).to(device)
    rows = as_tensor(parameters).to(device)
    together = apply_batched(crops, rows)
    alone = torch.cat([apply_batched(crops[i : i + 1], rows[i : i + 1]) for i in range(12)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_photometric_draws_have_the_published_distribution():
    random = np.random.default_rng(0)
    draws = [draw_photometric(random) for _ in range(20_000)]

    def share(condition):
        return np.mean([condition(d) for d in draws])

    assert share(lambda d: d.order >= 0) == pytest.approx(0.8, abs=0.01)
    assert share(lambda d: d.gray) == pytest.approx(0.2, abs=0.01)
    assert share(lambda d: d.blur > 0) == pytest.approx(0.5 * 0.5 + 0.5 * 0.1, abs=0.01)
    assert share(lambda d: d.solarize) == pytest.approx(0.5 * 0.2, abs=0.01)
    assert len({d.order for d in draws}) == 25
    for name, low, high in (
        ("brightness", 0.6, 1.4),
        ("contrast", 0.6, 1.4),
        ("saturation", 0.8, 1.2),
        ("hue", -0.1, 0.1),
    ):
        values = [getattr(d, name) for d in draws]
        assert low <= min(values) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < max(values) <= high
    radii = [d.blur for d in draws if d.blur]
    assert 0.1 <= min(radii) < 0.15
    assert 1.95 < max(radii) <= 2.0


def test_boxes_have_the_published_distribution():
    random = np.random.default_rng(0)
    boxes = np.array([draw_box(400, 300, (0.05, 0.4), random) for _ in range(5000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area = width * height / (400 * 300)
    assert area.min() > 0.045
    assert area.max() < 0.41
    assert area.mean() == pytest.approx(0.225, abs=0.01)
    assert (width / height).min() > 0.7
    assert (width / height).max() < 1.4
    assert boxes[:, :2].min() == 0
    assert boxes[:, 2].max() == 400


def test_student_views_are_cut_from_the_teachers_crop_as_pil_does():
    image = picture(size=96)
    random = np.random.default_rng(0)
    for _ in range(5):
        boxes = draw_boxes(96, 96, Views(48, 32, 2), random)
        assert all(max(box) <= 48 for box, _ in boxes[1:])
        expected = cut_views_pil(image, boxes, True)
        assert [v.size for v in expected] == [(48, 48), (48, 48), (32, 32), (32, 32)]
        views = cut_views(torch.from_numpy(np.array(image)).permute(2, 0, 1), boxes, True)
        for view, other in zip(views, expected):
            difference = view.permute(1, 2, 0).numpy().astype(int) - np.array(other)
            assert np.abs(difference).max() <= 3
            assert np.abs(difference).mean() < 0.3


def views_of(image, tmp_path, **options):
    """Views of 96 pixels that are the whole of what they are cut from, without color changes."""
    whole = {"teacher_scale": (0.5, 0.5), "global_scale": (1.0, 1.0), "local_scale": (1.0, 1.0), "strength": 0.0}
    recipe = Recipe(views=Views(96, 48, 1, **whole | options), runtime=Runtime(workers=0))
    path = tmp_path / "image.png"
    image.save(path)
    return [
        torch.stack([crop.float() for crop in of_view])
        for of_view in zip(*(ViewDataset([path], recipe, "device")[epoch, 0]["crops"] for epoch in range(12)))
    ]


def test_student_views_may_come_from_the_image(tmp_path):
    image = picture(size=96)
    _, of_teacher, _ = views_of(image, tmp_path)
    _, of_image, local = views_of(image, tmp_path, student_from="image")
    whole = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    assert (of_image - whole).abs().max() == 0
    assert local.shape[-1] == 48
    assert (of_teacher - whole).abs().mean() > 5


def test_each_view_is_flipped_on_its_own(tmp_path):
    image = picture(size=96)
    whole = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    _, never, _ = views_of(image, tmp_path, student_from="image")
    _, always, _ = views_of(image, tmp_path, student_from="image", flip=1.0)
    assert torch.equal(never.flip(-1), always)
    _, large, small = views_of(image, tmp_path, student_from="image", flip=0.5)
    flipped = [(large - whole.flip(-1)).abs().amax((1, 2, 3)) == 0, (small - small[:1]).abs().amax((1, 2, 3)) > 0]
    assert 0 < flipped[0].sum() < 12
    assert 0 < flipped[1].sum() < 12
    assert len({*flipped[0].eq(flipped[1]).tolist()}) == 2  # not together


def test_views_of_whole_images_have_the_published_chances_of_blur_and_solarization():
    """BYOL's, of two global views; local ones are blurred every second time and never solarized, as DINO's are."""
    recipe = SimpleNamespace(views=MultiCrop(128, n_local=2), training=SimpleNamespace(drop_path=0.0))
    random = np.random.default_rng(0)
    plans = [plan_crops(recipe, 64, 48, random) for _ in range(2000)]
    found = np.array([[(view.blur > 0, view.solarize) for view in plan.parameters] for plan in plans]).mean(axis=0)
    assert found == pytest.approx(np.array([(1, 0), (0.1, 0.2), (0.5, 0), (0.5, 0)]), abs=0.04)
    assert np.mean([plan.flips for plan in plans], axis=0) == pytest.approx(0.5, abs=0.05)
    assert [side for _, side in plans[0].boxes] == [128, 128, 96, 96]
    area = np.array([[(b[2] - b[0]) * (b[3] - b[1]) / (64 * 48) for b, _ in plan.boxes] for plan in plans])
    assert (area[:, :2] > 0.35).all()
    assert (area[:, 2:] < 0.45).all()


def test_strength_widens_the_color_jitter():
    draws = [draw_photometric(np.random.default_rng(seed), 2.0) for seed in range(300)]
    usual = [draw_photometric(np.random.default_rng(seed)) for seed in range(300)]
    for name, middle in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0)):
        wide, narrow = ([getattr(d, name) - middle for d in of] for of in (draws, usual))
        assert wide == pytest.approx([2 * value for value in narrow])
    assert [d.order for d in draws] == [d.order for d in usual]


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".jpg", "RGB"), (".jpg", "L"), (".jpg", "CMYK"), (".png", "RGB"), (".png", "P")]
)
def test_every_kind_of_image_is_decoded(tmp_path, suffix, mode):
    path = tmp_path / f"image{suffix}"
    picture().convert(mode).save(path)
    with Image.open(path) as image:
        expected = np.array(image.convert("RGB")).astype(int)
    assert np.abs(decode(path).permute(1, 2, 0).numpy() - expected).mean() < 1


def test_truncated_images_are_noticed(tmp_path):
    picture().save(tmp_path / "image.jpg")
    data = (tmp_path / "image.jpg").read_bytes()
    (tmp_path / "image.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError):
        decode(tmp_path / "image.jpg")


def test_positions_are_moved_for_each_view_and_image(tmp_path):
    path = tmp_path / "image.png"
    picture().save(path)
    recipe = Recipe(views=Views(96, 48, 2, shift=64.0))
    moved = torch.stack([torch.stack(ViewDataset([path], recipe, "device")[epoch, 0]["shifts"]) for epoch in range(50)])
    assert moved.shape == (50, 4, 2)  # the teacher's view first
    assert 0 <= moved.min() < 2
    assert 62 < moved.max() <= 64
    assert len(moved.unique()) == moved.numel()
    assert "shifts" not in ViewDataset([path], Recipe(), "device")[0, 0]
    with pytest.raises(ValueError, match="sincos"):
        Recipe(views=Views(shift=1.0), encoder=EncoderConfig(position_embedding="learned"))
