"""iBOT equals a plain computation that is written out view by view and patch by patch; its masks are blocks."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.comparators import draw_batch, tiny_recipe

from flsl.runtime.errors import UserError
from pretrain.method import build_model
from pretrain.methods.ibot import draw_mask

VALUES = {"tau_teacher": 0.05, "tau_patch": 0.06}


def plain_tokens(network, view, mask=None):
    """Logits of class token and patches of each image, with masked patches replaced before positions are added."""
    encoder = network.backbone
    patches = encoder.patch_embed(view).flatten(1, 2).clone()
    for image, places in enumerate(mask if mask is not None else ()):
        for place in places.nonzero():
            patches[image, place] = network.mask_token[0]
    tokens = torch.cat([encoder.cls_token.expand(len(view), -1, -1), patches], 1) + encoder.pos_embed
    for block in encoder.blocks:
        tokens = block(tokens)
    return network.head(encoder.norm(tokens))


def test_ibot_step_equals_a_plain_one():
    recipe = tiny_recipe("ibot", drop_path=0.0)
    model, batch = build_model(recipe).double(), draw_batch(recipe, 0, 4)
    with torch.no_grad():
        model.student.mask_token.normal_()
        for parameter in model.teacher.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        model.center.normal_(0, 0.1)
        model.patch_center.normal_(0, 0.1)
    masks, centers = batch.drawn["masks"], (model.center.clone(), model.patch_center.clone())
    assert any(mask.any() for mask in masks)
    teachers = [plain_tokens(model.teacher, view) for view in batch.views[:2]]
    students = [plain_tokens(model.student, view, mask) for view, mask in zip(batch.views, masks)]
    images = [tokens[:, 0] for tokens in students] + [model.student([view]) for view in batch.views[2:]]
    image, patch = [], []
    for i, teacher in enumerate(teachers):
        target = F.softmax((teacher[:, 0] - centers[0]) / 0.05, -1)
        for j, student in enumerate(images):
            if i != j:
                image.append(-(target * F.log_softmax(student / 0.1, -1)).sum(-1).mean())
        for one, other, mask in zip(teacher[:, 1:], students[i][:, 1:], masks[i]):
            losses = [
                -(F.softmax((one[p] - centers[1][0]) / 0.06, -1) * F.log_softmax(other[p] / 0.1, -1)).sum()
                for p in mask.nonzero().flatten()
            ]
            patch.append(sum(losses) / len(losses) if losses else torch.zeros((), dtype=torch.float64))
    expected = {"image": sum(image) / len(image), "patch": sum(patch) / len(patch)}
    output = model(batch, VALUES)
    for name, value in expected.items():
        assert float(output.scalars[name]) == pytest.approx(float(value.detach()), abs=1e-10), name
    output.loss.backward()
    ours = {name: p.grad.clone() for name, p in model.student.named_parameters() if p.grad is not None}
    model.zero_grad()
    sum(expected.values()).backward()
    for name, parameter in model.student.named_parameters():
        if parameter.grad is not None:
            assert (ours[name] - parameter.grad).abs().max() < 1e-10, name
    assert ours["mask_token"].abs().max() > 1e-6
    model.after_step([output.carried], torch.tensor(0.0, dtype=torch.float64), torch.tensor(False))
    means = [torch.cat([t[:, part].flatten(0, -2) for t in teachers]).mean(0) for part in (slice(0, 1), slice(1, None))]
    assert torch.allclose(model.center, 0.8 * centers[0] + 0.2 * means[0], atol=1e-12)
    assert torch.allclose(model.patch_center, 0.7 * centers[1] + 0.3 * means[1], atol=1e-12)


def test_ibot_masks_are_blocks_of_the_asked_size():
    random = np.random.default_rng(0)
    for most in (0.0, 7.5, 58.8, 98.0):
        masks = np.stack([draw_mask(14, most, random) for _ in range(100)])
        assert masks.shape == (100, 196)
        assert masks.sum(1).max() <= most
        assert masks.sum(1).mean() >= (0.9 * most if most > 16 else 0)
    assert masks.any(0).all()
    grids = masks.reshape(100, 14, 14)
    neighbors = (grids[:, 1:] & grids[:, :-1]).sum() / grids[:, 1:].sum()
    assert neighbors > 0.6  # half of all patches are masked: 0.5 where each is drawn alone
    assert (
        grids[:, 2:-2, 2:-2].mean(0) > 0.05
    ).all()  # corners are masked less often: every place of a block is as likely


@pytest.mark.parametrize(("share", "components"), [(0.1, 1.16), (0.3, 1.36), (0.5, 1.29)])
def test_ibot_masks_hang_together_as_the_published_ones(share, components):
    """The published sampler's mean over 4,000 masks; blocks down to single patches would give 2.4 to 2.9."""
    random = np.random.default_rng(0)
    masks = [draw_mask(14, share * 196, random).reshape(14, 14) for _ in range(1000)]
    counts = [cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1 for mask in masks]
    assert np.mean(counts) == pytest.approx(components, abs=0.08)


def test_ibot_needs_a_class_token():
    recipe = tiny_recipe("ibot")
    with pytest.raises((UserError, ValueError), match=r"needs encoder\.class_token True"):
        type(recipe)(encoder=type(recipe.encoder)(class_token=False))
