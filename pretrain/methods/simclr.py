"""SimCLR (docs/method.md, "SimCLR"): of all views in the batch, the other view of the same image must be the nearest.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020, arXiv 2002.05709.
"""

from dataclasses import field

import torch
import torch.nn.functional as F

from flsl.across_ranks import rows_of_all_ranks
from flsl.encoder import Encoder
from flsl.projector import projector
from flsl.runtime.schema import Depth, Positive, Width, section
from pretrain import recipe
from pretrain.batch import Batch
from pretrain.method import Output, Values
from pretrain.whole_image import ImageNetwork, TwoViewMethod, TwoViewRecipe, paths_of, spread


@section
class SimCLR:
    """Temperature of the similarities, and sizes of the projection head."""

    temperature: Positive = 0.1
    hidden_dim: Width = 2048
    out_dim: Width = 128
    layers: Depth = 2


@section
class Recipe(TwoViewRecipe):
    """SimCLR's recipe."""

    name: recipe.Name = "SimCLR"
    method: str = "simclr"
    simclr: SimCLR = field(default_factory=SimCLR)


class Method(TwoViewMethod):
    """One network, and a loss that compares all views of all images."""

    title = "SimCLR"

    def __init__(self, encoder: Encoder, options: SimCLR):
        """Put a projection head on an encoder."""
        super().__init__()
        dims = [encoder.embed_dim, *[options.hidden_dim] * (options.layers - 1), options.out_dim]
        self.student, self.temperature = ImageNetwork(encoder, projector(dims, last_norm=True)), options.temperature

    def forward(self, batch: Batch, values: Values) -> Output:
        """Compute the loss of the batch's two views."""
        embeddings = self.student(batch.views, paths_of(batch))
        with torch.autocast(embeddings.device.type, enabled=False):
            loss = contrastive_loss(embeddings, self.temperature)
        return Output(loss, {"loss": loss.detach()}, lambda: spread(embeddings))


def contrastive_loss(embeddings: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return NT-Xent: the mean cross-entropy of finding the other view of an image among all other views of all ranks.

    `embeddings` `(2 * B, D)` are of this rank's first views, then of its second views of the same images.
    """
    rows = F.normalize(embeddings, dim=-1)
    (everything, first), count = rows_of_all_ranks(rows), len(rows)
    own = torch.arange(first, first + count, device=rows.device)
    other = first + torch.arange(count, device=rows.device).roll(count // 2)
    itself = own[:, None] == torch.arange(len(everything), device=rows.device)
    similarities = (rows @ everything.T / temperature).masked_fill(itself, -torch.inf)
    return F.cross_entropy(similarities, other)
