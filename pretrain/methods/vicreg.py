"""VICReg (docs/method.md, "VICReg"): two views are alike, each dimension varies over images, no two dimensions go together.

Bardes, Ponce, LeCun, "VICReg: Variance-Invariance-Covariance Regularization", ICLR 2022, arXiv 2105.04906.
"""

from dataclasses import field

import torch
import torch.nn.functional as F

from flsl.across_ranks import rows_of_all_ranks
from flsl.encoder import Encoder
from flsl.projector import projector
from flsl.runtime.schema import Depth, NotNegative, Width, section
from pretrain import recipe
from pretrain.batch import Batch
from pretrain.method import Output, Values
from pretrain.whole_image import ImageNetwork, TwoViewMethod, TwoViewRecipe, paths_of, spread


@section
class VICReg:
    """Weights of the three terms, and sizes of the expander."""

    invariance: NotNegative = 25.0
    variance: NotNegative = 25.0
    covariance: NotNegative = 1.0
    hidden_dim: Width = 8192
    out_dim: Width = 8192
    layers: Depth = 3


@section
class Recipe(TwoViewRecipe):
    """VICReg's recipe."""

    name: recipe.Name = "VICReg"
    method: str = "vicreg"
    vicreg: VICReg = field(default_factory=VICReg)


class Method(TwoViewMethod):
    """One network, and a loss on the statistics of its outputs."""

    title = "VICReg"
    terms = ("invariance", "variance", "covariance")

    def __init__(self, encoder: Encoder, options: VICReg):
        """Put an expander on an encoder."""
        super().__init__()
        dims = [encoder.embed_dim, *[options.hidden_dim] * (options.layers - 1), options.out_dim]
        self.student, self.options = ImageNetwork(encoder, projector(dims, last_norm=False)), options

    def forward(self, batch: Batch, values: Values) -> Output:
        """Compute the loss of the batch's two views."""
        embeddings = self.student(batch.views, paths_of(batch), apart=True)
        with torch.autocast(embeddings.device.type, enabled=False):
            terms = vicreg_terms(*embeddings.chunk(2))
            loss = sum(
                (getattr(self.options, name) * term for name, term in terms.items()), torch.zeros_like(embeddings[0, 0])
            )
        scalars = {name: term.detach() for name, term in {"loss": loss, **terms}.items()}
        return Output(loss, scalars, lambda: spread(embeddings))


def vicreg_terms(first: torch.Tensor, second: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the terms of VICReg, not weighted, of the embeddings `(B, D)` of two views of this rank's images.

    Variance and covariance are those over the images of all ranks.
    """
    variance = covariance = first.new_zeros(())
    for rows in (rows_of_all_ranks(first)[0], rows_of_all_ranks(second)[0]):
        variance = variance + F.relu(1 - torch.sqrt(rows.var(0) + 1e-4)).mean() / 2
        centered = rows - rows.mean(0)
        matrix = centered.T @ centered / (len(rows) - 1)
        covariance = covariance + (matrix.square().sum() - matrix.diagonal().square().sum()) / rows.shape[1]
    return {"invariance": F.mse_loss(first, second), "variance": variance, "covariance": covariance}
