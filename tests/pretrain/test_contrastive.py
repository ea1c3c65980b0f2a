"""SimCLR, VICReg and MoCo v3 equal plain computations that are written out pair by pair."""

import math

import pytest
import torch
import torch.nn.functional as F
from support.comparators import draw_batch, tiny_recipe

from flsl.projector import BatchNorm
from flsl.runtime.errors import UserError
from pretrain.method import build_model
from pretrain.methods.mocov3 import contrast
from pretrain.methods.simclr import contrastive_loss
from pretrain.methods.vicreg import vicreg_terms
from pretrain.whole_image import spread


def rows(seed, count, dim):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a, b):
    return float(a @ b / a.norm() / b.norm())


def plain_simclr(embeddings, temperature):
    count, losses = len(embeddings), []
    for i in range(count):
        similar = {j: math.exp(cosine(embeddings[i], embeddings[j]) / temperature) for j in range(count) if j != i}
        losses.append(-math.log(similar[(i + count // 2) % count] / sum(similar.values())))
    return sum(losses) / count


def plain_vicreg(first, second):
    count, dim = first.shape
    invariance = sum(float((a - b).square().sum()) for a, b in zip(first, second)) / (count * dim)
    variance = covariance = 0.0
    for view in (first, second):
        means = [sum(float(row[d]) for row in view) / count for d in range(dim)]
        for d in range(dim):
            for e in range(dim):
                c = sum((float(row[d]) - means[d]) * (float(row[e]) - means[e]) for row in view) / (count - 1)
                if d == e:
                    variance += max(0.0, 1 - math.sqrt(c + 1e-4)) / dim / 2
                else:
                    covariance += c * c / dim
    return {"invariance": invariance, "variance": variance, "covariance": covariance}


def plain_moco(queries, keys, temperature):
    losses = []
    for i, query in enumerate(queries):
        similar = [math.exp(cosine(query, key) / temperature) for key in keys]
        losses.append(-math.log(similar[i] / sum(similar)))
    return 2 * temperature * sum(losses) / len(losses)


def test_losses_equal_plain_ones():
    first, second = rows(0, 5, 7), 0.3 * rows(1, 5, 7)
    both = torch.cat([first, second])
    assert float(contrastive_loss(both, 0.3)) == pytest.approx(plain_simclr(both, 0.3), abs=1e-12)
    assert float(contrast(first, second, 0.4)) == pytest.approx(plain_moco(first, second, 0.4), abs=1e-12)
    found, expected = vicreg_terms(first, second), plain_vicreg(first, second)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, abs=1e-12)


def test_whole_methods_put_their_parts_together():
    simclr, vicreg, mocov3 = (tiny_recipe(name, drop_path=0.0) for name in ("simclr", "vicreg", "mocov3"))
    batch = draw_batch(simclr, 0, 6)
    model = build_model(simclr).double()
    assert float(model(batch, {}).loss.detach()) == pytest.approx(
        plain_simclr(model.student(batch.views).detach(), 0.1), abs=1e-12
    )

    model = build_model(vicreg).double()
    terms = plain_vicreg(*(model.student([view]).detach() for view in batch.views))
    expected = 25 * terms["invariance"] + 25 * terms["variance"] + terms["covariance"]
    output = model(batch, {})
    assert float(output.loss.detach()) == pytest.approx(expected, abs=1e-10)
    assert {name: float(output.scalars[name]) for name in terms} == pytest.approx(terms, abs=1e-10)

    model = build_model(mocov3).double()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        # Batch normalization sees one view at a time.
        queries = [model.student.predictor(model.student([view])) for view in batch.views]
        keys = [model.teacher([view]) for view in batch.views]
    expected = plain_moco(queries[0], keys[1], 0.2) + plain_moco(queries[1], keys[0], 0.2)
    output = model(batch, {})
    assert float(output.loss.detach()) == pytest.approx(expected, abs=1e-12)
    output.loss.backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert model.student.backbone.patch_embed.proj.weight.grad is None
    model.after_step([{}], torch.tensor(1.0, dtype=torch.float64), torch.tensor(False))
    for network in ("backbone", "head"):
        pairs = zip(getattr(model.teacher, network).parameters(), getattr(model.student, network).parameters())
        assert all(torch.allclose(a, b) for a, b in pairs)
    assert model.encoder is model.student.backbone


@pytest.mark.parametrize(("name", "layers", "normed"), [("simclr", 2, True), ("vicreg", 3, False), ("mocov3", 3, True)])
def test_projectors_have_the_published_layers(name, layers, normed):
    head = build_model(tiny_recipe(name)).student.head
    assert [layer.bias for layer in head if isinstance(layer, torch.nn.Linear)] == [None] * layers
    assert (isinstance(head[-1], BatchNorm) and head[-1].weight is None) == normed
    assert sum(isinstance(layer, BatchNorm) for layer in head) == layers - 1 + normed


def test_batch_normalization_is_that_of_torch():
    ours, theirs, x = BatchNorm(7).double(), torch.nn.BatchNorm1d(7).double(), rows(0, 9, 7)
    for mine, other, values in zip(ours.parameters(), theirs.parameters(), rows(1, 2, 7)):
        mine.data, other.data = values, values
    assert torch.allclose(ours(x), theirs(x), atol=1e-12)
    assert torch.allclose(BatchNorm(7, affine=False)(x), F.batch_norm(x, None, None, training=True), atol=1e-12)


@pytest.mark.parametrize("name", ["simclr", "vicreg", "mocov3"])
def test_parts_of_a_batch_are_refused(name):
    with pytest.raises(UserError, match=r"training\.accumulate is 2, but .* compares all images of a batch"):
        tiny_recipe(name, accumulate=2)


@pytest.mark.parametrize("name", ["simclr", "vicreg", "mocov3"])
def test_one_image_has_nothing_to_be_compared_with(name):
    with pytest.raises(UserError, match=r"training\.batch_size is 1, but .* compares the images of a batch"):
        tiny_recipe(name, batch_size=1)


def test_spread_is_none_where_embeddings_are_alike_and_whole_where_they_cancel():
    east, north = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 3.0])
    for embeddings, expected in (([east, east], 0), ([east, north], 0.5**0.5), ([east, -2 * east], 1)):
        assert spread(torch.stack(embeddings))["embedding_spread"].item() == pytest.approx(expected, abs=1e-6)
