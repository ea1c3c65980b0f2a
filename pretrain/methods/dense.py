"""Dense contrast: a token is to find the token at its own place in another view, among the tokens of all images (InfoNCE).

What VADeR (Pinheiro et al. 2020) does with pixels and a memory bank, with tokens and the batch. Views, queries and colors are
FLSL's, so that the two differ in their objective alone. There is no projection: what is learned is the cosine of the features
themselves, which frozen evaluations compare (docs/findings.md, "True places help").
"""

from dataclasses import field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from flsl.across_ranks import rows_of_all_ranks
from flsl.architecture import EncoderConfig
from flsl.encoder import Encoder
from flsl.model import at_least_float32, encode_student, follow, gather_tokens
from flsl.places import tokens_at
from flsl.runtime.schema import Positive, section
from pretrain import method, recipe
from pretrain.batch import Batch
from pretrain.method import Output, Values
from pretrain.methods import flsl
from pretrain.views import Plan


@section
class Contrast:
    """The softmax over all tokens of the batch."""

    temperature: Positive = 0.1


@section
class Recipe(recipe.Recipe):
    """The recipe of dense contrast."""

    method: str = "dense"
    views: flsl.Views = field(default_factory=flsl.Views)
    sampling: flsl.SamplingSection = field(default_factory=flsl.SamplingSection)
    contrast: Contrast = field(default_factory=Contrast)
    optimizer: recipe.TeacherOptimizer = field(default_factory=recipe.TeacherOptimizer)

    def __post_init__(self):
        super().__post_init__()
        flsl.check_views(self)
        if self.views.student_from != "teacher":
            raise ValueError("method 'dense' needs views.student_from 'teacher': other places are not known")
        if self.training.accumulate > 1:
            raise ValueError(
                "training.accumulate must be 1 with method 'dense': the loss compares all images of a step"
            )


class Network(nn.Module):
    """What student and teacher are."""

    def __init__(self, encoder: EncoderConfig, drop_path: float = 0.0):
        super().__init__()
        self.backbone = Encoder(encoder, drop_path)


class Method(method.Method):
    """Student and teacher."""

    title = "dense contrast"
    drop: torch.Tensor  # (depth, 1, 1)

    def __init__(self, recipe: Recipe):
        super().__init__()
        encoder, drop_path = recipe.encoder, recipe.training.drop_path
        self.temperature = recipe.contrast.temperature
        self.student, self.teacher = Network(encoder, drop_path), Network(encoder)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.register_buffer("drop", torch.linspace(0, drop_path, encoder.depth)[:, None, None], persistent=False)

    @classmethod
    def build(cls, recipe: Recipe, given: Any) -> "Method":
        """Build student and teacher."""
        return cls(recipe)

    @classmethod
    def plan(cls, recipe: Recipe, width: int, height: int, random: np.random.Generator) -> Plan:
        """Draw FLSL's views and queries, and where the queries lie in the teacher's view."""
        return flsl.draw_plan(recipe, width, height, random, places=True)

    def forward(self, batch: Batch, values: Values) -> Output:
        """Compute the loss of a step on this rank; the tokens to be told apart are those of all ranks."""
        drawn = batch.drawn
        paths, shifts = drawn.get("paths", []), drawn.get("shifts", [])
        with torch.no_grad():
            keys = at_least_float32(self.teacher.backbone(batch.views[0], shift=shifts[0] if shifts else None))
        found, wanted = [], []
        for group, tokens, chosen in encode_student(
            self.student.backbone, self.drop, batch.views, drawn["queries"], paths, shifts
        ):
            places = torch.cat([drawn["places"][i - 1] for i in group])
            found.append(gather_tokens(tokens, chosen).flatten(0, 1))
            wanted.append(tokens_at(keys.repeat(len(group), 1, 1), places).flatten(0, 1))
        with torch.autocast(keys.device.type, enabled=False):
            targets, first = rows_of_all_ranks(F.normalize(torch.cat(wanted), dim=-1))
            logits = F.normalize(torch.cat(found), dim=-1) @ targets.T / self.temperature
            own = first + torch.arange(len(logits), device=logits.device)
            loss = F.cross_entropy(logits, own)
        hits = (logits.detach().argmax(dim=1) == own).float().mean()
        return Output(loss, {"loss": loss.detach()}, lambda: {"tokens_found": hits})

    def after_step(self, carried: list[dict[str, torch.Tensor]], share: torch.Tensor, held: torch.Tensor) -> None:
        """Move the teacher."""
        follow(self.teacher, self.student, share)
