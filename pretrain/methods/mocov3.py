"""MoCo v3 (docs/method.md, "MoCo v3"): a prediction from one view must find the momentum network's output of the other.

Chen, Xie, He, "An Empirical Study of Training Self-Supervised Vision Transformers", ICCV 2021, arXiv 2104.02057.
"""

from dataclasses import field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from flsl.across_ranks import rows_of_all_ranks
from flsl.encoder import Encoder
from flsl.model import at_least_float32, follow
from flsl.projector import projector
from flsl.runtime.schema import Positive, Width, section
from pretrain import recipe
from pretrain.batch import Batch
from pretrain.method import Output, Values
from pretrain.whole_image import ImageNetwork, TwoViewMethod, TwoViewRecipe, paths_of, spread


@section
class MoCoV3:
    """Temperature of the similarities, sizes of projector (three layers) and predictor (two), and whether the projection of
    patches stays as it was drawn, which keeps ViTs from falling back in the midst of training."""

    temperature: Positive = 0.2
    hidden_dim: Width = 4096
    out_dim: Width = 256
    freeze_patches: bool = True


@section
class Recipe(TwoViewRecipe):
    """MoCo v3's recipe."""

    name: recipe.Name = "MoCo v3"
    method: str = "mocov3"
    mocov3: MoCoV3 = field(default_factory=MoCoV3)
    optimizer: recipe.TeacherOptimizer = field(default_factory=recipe.TeacherOptimizer)


class Method(TwoViewMethod):
    """The network that is trained, with its predictor, and the momentum network. The former's encoder is kept."""

    title = "MoCo-v3"

    def __init__(self, encoder: Encoder, momentum_encoder: Encoder, options: MoCoV3):
        """Put projectors and a predictor on two encoders of one kind, which begin alike."""
        super().__init__()
        hidden, out = options.hidden_dim, options.out_dim
        dims = [encoder.embed_dim, hidden, hidden, out]
        self.student, self.teacher = (ImageNetwork(e, projector(dims, True)) for e in (encoder, momentum_encoder))
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.student.predictor = projector([out, hidden, out], True)
        encoder.patch_embed.requires_grad_(not options.freeze_patches)
        self.temperature = options.temperature

    @classmethod
    def build(cls, recipe: Recipe, given: Any) -> "Method":
        """Build both networks."""
        return cls(Encoder(recipe.encoder, recipe.training.drop_path), Encoder(recipe.encoder), recipe.mocov3)

    @property
    def encoder(self) -> Encoder:
        """The encoder that is saved and probed: the trained one, as published."""
        return self.student.backbone

    def forward(self, batch: Batch, values: Values) -> Output:
        """Compute the loss of the batch's two views."""
        with torch.no_grad():
            keys = self.teacher(batch.views, apart=True).chunk(2)
        projections = self.student(batch.views, paths_of(batch), apart=True).chunk(2)
        queries = [at_least_float32(self.student.predictor(view)) for view in projections]
        with torch.autocast(queries[0].device.type, enabled=False):
            loss = sum(
                (contrast(query, key, self.temperature) for query, key in zip(queries, reversed(keys))),
                torch.zeros_like(queries[0][0, 0]),
            )
        return Output(loss, {"loss": loss.detach()}, lambda: spread(torch.cat(queries)))

    def after_step(self, carried: list[dict[str, torch.Tensor]], share: torch.Tensor, held: torch.Tensor) -> None:
        """Move the momentum network, which has no predictor."""
        follow(self.teacher, nn.ModuleList([self.student.backbone, self.student.head]), share)


def contrast(queries: torch.Tensor, keys: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the cross-entropy, times twice the temperature, of finding each query's key among those of all ranks.

    `queries` and `keys` `(B, D)` are of this rank's images; keys carry no gradient.
    """
    everything, first = rows_of_all_ranks(F.normalize(keys.detach(), dim=-1))
    own = first + torch.arange(len(queries), device=queries.device)
    return F.cross_entropy(F.normalize(queries, dim=-1) @ everything.T / temperature, own) * (2 * temperature)
