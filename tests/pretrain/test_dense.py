"""Tokens at their places: views agree on them, FLSL's option begins there, dense contrast is InfoNCE over them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flsl.architecture import EncoderConfig
from flsl.model import FLSL, StepValues
from flsl.objective import HeadConfig
from flsl.places import places_in_teacher, tokens_at
from flsl.runtime.errors import UserError
from flsl.sampling import draw_queries
from pretrain.batch import Batch
from pretrain.crops import cut_views
from pretrain.methods.dense import Contrast, Method, Recipe
from pretrain.methods.flsl import SamplingSection, Views
from pretrain.recipe import Training, read_recipe

ENCODER = EncoderConfig("custom", 4, 64, embed_dim=32, depth=2, num_heads=2)
RECIPE = Recipe(
    encoder=ENCODER,
    views=Views(global_size=64, local_size=32, n_local=1, flip=0.5, global_scale=(0.2, 0.8)),
    sampling=SamplingSection("random", 4, 4),
    contrast=Contrast(0.2),
    training=Training(drop_path=0.0),
)


def test_the_place_of_a_query_is_that_of_the_picture():
    rows, columns = torch.meshgrid(torch.linspace(0, 255, 90), torch.linspace(0, 255, 120), indexing="ij")
    picture = torch.stack([columns, rows, rows * 0]).round().byte()  # its colors say where it is looked at
    random, seen = np.random.default_rng(0), set()
    for _ in range(12):
        plan = Method.plan(RECIPE, 120, 90, random)
        crops = cut_views(picture, plan.boxes, plan.nested)
        views = [(crop.flip(-1) if flip else crop)[None].float() for crop, flip in zip(crops, plan.flips)]
        teacher, *students = [F.avg_pool2d(view, 4).flatten(2).transpose(1, 2) for view in views]
        for tokens, queries, places in zip(students, plan.drawn["queries"], plan.drawn["places"]):
            inside = (places.abs() < 1 - 1 / 16).all(dim=1)  # nearer to the edge there is no token beyond
            found, wanted = tokens[0, queries], tokens_at(teacher, places[None])[0]
            assert (found - wanted)[inside].abs().max() < 3
        seen |= set(zip(plan.flips[:1] * 2, plan.flips[1:]))
    assert len(seen) == 4  # either flipped, both, none


def test_mean_shift_from_the_place_is_the_published_one_where_views_are_equal():
    model = FLSL(ENCODER, HeadConfig(16, 32, 16)).double()
    view = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    queries = draw_queries(3, 16, 4, "random", torch.Generator().manual_seed(0))
    values = StepValues(scale_sa=0.1, scale_ca=0.2, tau_teacher=0.04, upsilon=0.03)
    places = torch.stack([places_in_teacher(row, 16, (0, 0, 64, 64), 64, False, False) for row in queries]).double()
    published, placed = (model([view, view], [queries], values, places=p) for p in ([], [places]))
    torch.testing.assert_close(placed.modes_teacher, published.modes_teacher)
    elsewhere = model([view, view], [queries], values, places=[places.flip(1)])
    assert (elsewhere.modes_teacher - published.modes_teacher).abs().max() > 1e-3


def test_dense_contrast_is_infonce_over_the_tokens_of_all_images():
    torch.manual_seed(0)
    model = Method(RECIPE).double()
    plans = [Method.plan(RECIPE, 120, 90, np.random.default_rng(seed)) for seed in range(3)]
    views = [torch.randn(3, 3, side, side, dtype=torch.float64) for _, side in plans[0].boxes]
    drawn = {name: [torch.stack(v) for v in zip(*(p.drawn[name] for p in plans))] for name in ("queries", "places")}
    drawn["places"] = [places.double() for places in drawn["places"]]
    found = model(Batch(views, drawn), {})
    teacher, losses, keys = model.teacher.backbone(views[0]), [], []
    for number in range(3):
        for places in drawn["places"]:
            grid = teacher[number].T.reshape(1, 32, 16, 16)
            keys.append(
                F.grid_sample(grid, places[number][None, None], align_corners=False, padding_mode="border")[0, :, 0].T
            )
    keys = F.normalize(torch.cat(keys), dim=-1)
    position = 0
    for number in range(3):
        for view, queries in zip(views[1:], drawn["queries"]):
            for query in F.normalize(model.student.backbone(view)[number][queries[number]], dim=-1):
                similar = torch.stack([torch.exp(query @ key / 0.2) for key in keys])
                losses.append(-torch.log(similar[position] / similar.sum()))
                position += 1
    torch.testing.assert_close(found.loss, torch.stack(losses).mean())
    assert 0 <= found.health()["tokens_found"] <= 1


def test_the_teacher_begins_as_the_student_and_goes_a_part_of_its_way():
    model = Method(RECIPE)
    begun = [parameter.detach().clone() for parameter in model.student.parameters()]
    assert all(map(torch.equal, model.teacher.parameters(), begun))
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter += 1
    model.after_step([{}], torch.tensor(0.25), torch.tensor(False))
    for parameter, before in zip(model.teacher.parameters(), begun):
        torch.testing.assert_close(parameter.detach(), before + 0.25)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("views.student_from=image", "needs views.student_from 'teacher'"),
        ("training.accumulate=2", "compares all images of a step"),
    ],
)
def test_what_cannot_be_compared_is_refused(setting, said):
    with pytest.raises(UserError, match=said):
        read_recipe("configs/pretrain/dense_nano.py", [setting])
    if setting.startswith("views"):
        with pytest.raises(UserError, match=said):
            read_recipe("configs/pretrain/flsl_nano.py", [setting])
