"""Every option of the objective equals an independent implementation written from the formulas, on random models."""

import math

import pytest
import torch
import torch.nn.functional as F

from flsl.architecture import EncoderConfig
from flsl.encoder import Encoder
from flsl.model import FLSL, EarlierStage, StepValues
from flsl.objective import HeadConfig, Loss, Stage
from flsl.sampling import draw_queries

SIZES = dict(architecture="custom", patch_size=8, image_size=48, embed_dim=24, depth=3, num_heads=2)
VALUES = StepValues(scale_sa=0.05, scale_ca=0.11, tau_teacher=0.05, upsilon=0.3, mixture=0.6)
OPTIONS = {
    "published": {},
    "centering": {"centering": True},
    "no volume maximization": {"volume_maximization": False},
    "both": {"centering": True, "volume_maximization": False},
    "prior": {"prior": tuple((i + 1) / 36 for i in range(8))},
    "layernorm on mode": {"layernorm_on_mode": True},
    "no final norm": {"final_norm": False},
    "learned positions": {"position_embedding": "learned"},
    "free magnitude": {"norm_last_layer": False},
    "no local views": {"views": (48, 48)},
    "multi-stage": {"multistage": True},
    "multi-stage, layernorm on mode, centering": {"multistage": True, "layernorm_on_mode": True, "centering": True},
}


def layer_norm(x, state, name):
    weight = state.get(f"{name}.weight")
    return x if weight is None else F.layer_norm(x, x.shape[-1:], weight, state[f"{name}.bias"], 1e-6)


def encode(images, state, prefix, heads=2, patch=8):
    """A ViT in a few lines, from a state dict."""
    state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    x = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=patch)
    batch, dim, rows, columns = x.shape
    table = state["pos_embed"]
    side = math.isqrt(table.shape[1])
    if (rows, columns) != (side, side):
        grid = table.reshape(1, side, side, dim).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, scale_factor=((rows + 0.1) / side, (columns + 0.1) / side), mode="bicubic")
        table = grid.permute(0, 2, 3, 1).reshape(1, -1, dim)
    x = x.flatten(2).transpose(1, 2) + table
    index = 0
    while f"blocks.{index}.norm1.weight" in state:
        p = f"blocks.{index}."
        y = F.linear(layer_norm(x, state, p + "norm1"), state[p + "attn.qkv.weight"], state[p + "attn.qkv.bias"])
        q, k, v = y.reshape(batch, -1, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        y = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(dim // heads), -1) @ v
        y = y.transpose(1, 2).reshape(batch, -1, dim)
        x = x + F.linear(y, state[p + "attn.proj.weight"], state[p + "attn.proj.bias"])
        y = F.linear(layer_norm(x, state, p + "norm2"), state[p + "mlp.fc1.weight"], state[p + "mlp.fc1.bias"])
        x = x + F.linear(F.gelu(y), state[p + "mlp.fc2.weight"], state[p + "mlp.fc2.bias"])
        index += 1
    return layer_norm(x, state, "norm")


def head(modes, state):
    x = layer_norm(modes, state, "norm")
    for i in (0, 2, 4):
        x = F.linear(F.gelu(x) if i else x, state[f"head.mlp.{i}.weight"], state[f"head.mlp.{i}.bias"])
    direction = state["head.last_layer.weight_v"]
    direction = direction / direction.norm(dim=1, keepdim=True) * state["head.last_layer.weight_g"]
    return F.normalize(x, dim=-1) @ direction.T


def expected_losses(student, teacher, previous, views, queries, crops, center, options):
    rows = {"q": [], "m": [], "t": []}
    keys = encode(views[0], teacher, "backbone.")
    for i, (view, places) in enumerate(zip(views[1:], queries), 1):
        tokens = encode(view, student, "backbone.")
        for b in range(len(view)):
            q = tokens[b, places[b]]
            a = torch.softmax(VALUES.scale_ca * q @ keys[b].T, -1)
            if previous is not None:
                earlier = encode(crops[i], previous, "")[b, places[b]] @ encode(crops[0], previous, "")[b].T
                constraint = torch.softmax(0.07 * earlier, -1)
                constraint = torch.sigmoid(30 * (constraint - constraint.mean()))
                constraint = constraint / constraint.sum(-1, keepdim=True)
                a = VALUES.mixture * a + (1 - VALUES.mixture) * constraint
                a = a / a.sum(-1, keepdim=True)
            rows["q"].append(q)
            rows["m"].append(torch.softmax(VALUES.scale_sa * q @ tokens[b].T, -1) @ tokens[b])
            rows["t"].append(a @ keys[b])
    q, m, t = (torch.cat(rows[k]) for k in "qmt")
    intra = (2 - 2 * F.cosine_similarity(q, m)).mean()
    assigned = head(m, student) / 0.1
    target = head(t, teacher)
    if options.get("centering"):
        target = target - center
    target = torch.softmax(target / VALUES.tau_teacher, -1).detach()
    inter = -(target * torch.log_softmax(assigned, -1)).sum(-1).mean()
    p = torch.softmax(assigned, -1).mean(0)
    prior = torch.tensor(options.get("prior") or [1 / len(p)] * len(p)).to(p)
    vmr = (p * (p / prior).log()).sum() if options.get("volume_maximization", True) else torch.zeros(()).to(p)
    return {"loss": 0.3 * intra + inter + 5 * vmr, "intra": intra, "inter": inter, "vmr": vmr}


def test_an_earlier_stage_sees_images_as_in_its_own_pretraining():
    """The loop normalizes by ImageNet's constants; networks of timm's and of CLIP's have others."""
    torch.manual_seed(0)
    own = EncoderConfig(**SIZES, image_mean=(0.5, 0.4, 0.3), image_std=(0.5, 0.25, 0.2))
    stage = EarlierStage(Encoder(own), Stage("earlier", attention_level=2, scale=0.07, sharpness=30.0))
    pixels = torch.rand(2, 3, 32, 32)

    def normalized(mean, std):
        return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    (expected,) = stage.encoder.patch_tokens(normalized(own.image_mean, own.image_std), [1], norm=False)
    found = stage(normalized(EncoderConfig.image_mean, EncoderConfig.image_std))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
def test_option_equals_the_formulas(name):
    options = OPTIONS[name]
    torch.manual_seed(len(name))
    encoder = EncoderConfig(
        **SIZES,
        position_embedding=options.get("position_embedding", "sincos"),
        final_norm=options.get("final_norm", True),
    )
    previous = None
    if options.get("multistage"):
        stage = Stage("earlier", attention_level=2, scale=0.07, sharpness=30.0)
        previous = EarlierStage(Encoder(EncoderConfig(**SIZES)), stage)
    chosen = {k: v for k, v in options.items() if k in Loss.__dataclass_fields__}
    heads = HeadConfig(8, 32, 16, norm_last_layer=options.get("norm_last_layer", True))
    model = FLSL(encoder, heads, loss=Loss(**chosen), previous=previous).double()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter) * parameter.requires_grad
    for parameter in model.teacher.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.center += 0.1 * torch.randn_like(model.center)
    generator = torch.Generator().manual_seed(0)
    sizes = options.get("views", (48, 48, 32, 32))
    views = [torch.randn(2, 3, s, s, dtype=torch.float64, generator=generator) for s in sizes]
    crops = [torch.randn(2, 3, s, s, dtype=torch.float64, generator=generator) for s in sizes]
    queries = [draw_queries(2, s // 8, 4 if s == 48 else 2, "random", generator) for s in sizes[1:]]

    output = model(views, queries, VALUES, crops)
    output.loss.backward()
    gradients = {k: p.grad for k, p in model.student.named_parameters() if p.requires_grad}
    student = {k: v.detach().clone().requires_grad_(k in gradients) for k, v in model.student.state_dict().items()}
    earlier = None
    if previous is not None:  # two of three blocks, no final norm
        state = model.previous.encoder.state_dict()
        earlier = {k: v for k, v in state.items() if not k.startswith(("norm.", "blocks.2."))}
    expected = expected_losses(
        student, model.teacher.state_dict(), earlier, views, queries, crops, model.center, options
    )
    expected["loss"].backward()
    for key, value in expected.items():
        assert abs(float(getattr(output, key) - value)) < 1e-10, key
    for key, gradient in gradients.items():
        assert (gradient - student[key].grad).abs().max() < 1e-10, key
    assert all(p.grad is None for p in model.teacher.parameters())
    before, mean = model.center.clone(), output.logits_teacher.mean(0)
    model.update_center(output.logits_teacher)
    assert torch.allclose(model.center, 0.9 * before + 0.1 * mean)
