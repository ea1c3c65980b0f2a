"""What methods that look at whole images share: one vector per view, and how views of one size share a pass."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from flsl.architecture import EncoderConfig
from flsl.encoder import Encoder, kept_branches
from flsl.model import at_least_float32
from flsl.multi_crop import encode_views
from flsl.runtime.schema import section
from pretrain import recipe
from pretrain.batch import Batch
from pretrain.method import Method
from pretrain.views import GlobalViews, Plan, plan_crops

NO_SPREAD = 0.05  # of embeddings, that draws a warning


def require_plain(encoder: EncoderConfig) -> None:
    """Raise ValueError where an encoder does not give its class token away."""
    if encoder.timm_model:
        raise ValueError("encoder.timm_model: a network of timm's is pretrained with method 'flsl' only")


class ImageNetwork(nn.Module):
    """An encoder, and a head on its class token or, where it has none, on the mean of its patch tokens."""

    drop: torch.Tensor  # (depth, 1, 1), the share of its branches that stochastic depth leaves out of a block

    def __init__(self, backbone: Encoder, head: nn.Module):
        super().__init__()
        self.backbone, self.head = backbone, head
        drop = torch.linspace(0, backbone.drop_path, backbone.depth)[:, None, None]
        self.register_buffer("drop", drop, persistent=False)

    def tokens(
        self,
        views: Sequence[torch.Tensor],
        paths: Sequence[torch.Tensor] = (),
        masked: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Encode views of one size, each `(B, 3, s, s)`, into all tokens `(views * B, prefix + N, D)`, view by view.

        `paths` are draws `(B, depth, 2)` of stochastic depth, one per view; `masked` is that of `Encoder.embed`.
        """
        kept = kept_branches(torch.cat([*paths]), self.drop) if paths else None
        return self.backbone(torch.cat([*views]), kept, prefix=True, masked=masked)

    def summaries(self, views: Sequence[torch.Tensor], paths: Sequence[torch.Tensor] = ()) -> torch.Tensor:
        """Encode views, each `(B, 3, s, s)`, into `(views * B, D)`, view by view; those of one size that follow each other
        share a pass. `paths` are those of `tokens`."""
        encoded = encode_views(self.backbone, self.drop, views, paths, prefix=True)
        return torch.cat([t[:, 0] if self.backbone.config.class_token else t.mean(1) for _, t in encoded])

    def forward(
        self, views: Sequence[torch.Tensor], paths: Sequence[torch.Tensor] = (), apart: bool = False
    ) -> torch.Tensor:
        """Return the head's outputs `(views * B, K)` of views, in at least float32; see `summaries`.

        With `apart` the head sees one view at a time: its batch normalization does.
        """
        summaries = self.summaries(views, paths)
        parts = summaries.chunk(len(views)) if apart else [summaries]
        return at_least_float32(torch.cat([self.head(part) for part in parts]))


def paths_of(batch: Batch) -> list[torch.Tensor]:
    """Return the draws of stochastic depth of a batch's views, where there are some."""
    return batch.drawn.get("paths", [])


@section
class TwoViewRecipe(recipe.Recipe):
    """A recipe of a method that compares two views over a whole batch."""

    views: GlobalViews = field(default_factory=lambda: GlobalViews(global_scale=(0.08, 1.0)))

    def __post_init__(self):
        super().__post_init__()
        require_plain(self.encoder)
        if self.training.accumulate > 1:
            raise ValueError(
                f"training.accumulate is {self.training.accumulate}, but {self.name} compares all images of a batch with each "
                "other: parts of it have another loss. Set it to 1; runtime.activation_checkpointing saves memory too, and "
                "so does a smaller training.batch_size"
            )
        if self.training.batch_size < 2:
            raise ValueError(
                f"training.batch_size is {self.training.batch_size}, but {self.name} compares the images of a batch: set it to at "
                "least 2, and far more to learn anything"
            )


class TwoViewMethod(Method):
    """A method that compares two views over a whole batch."""

    advice = {"flat": "raise optimizer.lr", "collapse": "lower optimizer.lr, or enlarge training.batch_size"}

    @classmethod
    def build(cls, recipe: Any, given: Any) -> Method:
        """Build the network from an encoder and the method's own section."""
        return cls(Encoder(recipe.encoder, recipe.training.drop_path), getattr(recipe, recipe.method))

    @classmethod
    def plan(cls, recipe: TwoViewRecipe, width: int, height: int, random: np.random.Generator) -> Plan:
        """Draw two global views."""
        return plan_crops(recipe, width, height, random)

    def complaint(self, scalars: Mapping[str, float]) -> str | None:
        """Say what is wrong, where reported scalars show a collapse."""
        if scalars.get("embedding_spread", 1.0) >= NO_SPREAD:
            return None
        return f"embeddings collapse: they fill {scalars['embedding_spread']:.1%} of the sphere that they could spread over"


@torch.no_grad()
def spread(embeddings: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return how far embeddings `(R, D)` spread over the sphere: 0 is one point for all, 1 all directions alike."""
    return {"embedding_spread": (1 - F.normalize(embeddings, dim=-1).mean(0).square().sum()).clamp_min(0).sqrt()}
