"""Votes of the nearest neighbors of tokens."""

import torch

from eval.progress import tracked
from eval.search import Index


def token_votes(similarity: torch.Tensor, labels: torch.Tensor, classes: int, temperature: float) -> torch.Tensor:
    """Return each query's votes for the classes, (q, classes), summing to 1.

    A neighbor votes for its class with weight exp(similarity / temperature), as in DINO's k-NN evaluation.

    Args:
        similarity: (q, k) of the neighbors.
        labels: (q, k) class index of the neighbors.
        classes: number of classes.
        temperature: of the weights.
    """
    weights = (similarity / temperature).softmax(dim=1)
    return weights.new_zeros(len(labels), classes).scatter_add_(1, labels, weights)


def classify(
    queries: torch.Tensor,
    bank: torch.Tensor,
    bank_labels: torch.Tensor,
    classes: int,
    neighbors: tuple[int, ...],
    temperature: float,
    batch: int = 128,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Classify images by the nearest neighbors of their tokens.

    Args:
        queries: (n, tokens, D), rows of length 1.
        bank: (m, D), rows of length 1, on any device.
        bank_labels: (m,) class index.
        classes: number of classes.
        neighbors: numbers of neighbors, each at most m.
        temperature: of the votes.
        batch: images that vote at once.

    Returns:
        What each token votes for most, (n, tokens, len(neighbors)), and what the image's tokens vote for together,
        each with equal weight, (n, len(neighbors)).
    """
    tokens, images, rows = [], [], batch * queries.shape[1]
    found, where = Index(bank, bounds=False).nearest(queries.flatten(0, 1), max(neighbors))
    bank_labels = bank_labels.to(queries.device)
    blocks = list(zip(found.split(rows), where.split(rows)))
    for similarity, index in tracked(blocks, "votes: block", len(blocks)):
        labels = bank_labels[index]
        token_part, image_part = [], []
        for k in neighbors:
            votes = token_votes(similarity[:, :k], labels[:, :k], classes, temperature)
            votes = votes.unflatten(0, (-1, queries.shape[1]))
            token_part.append(votes.argmax(dim=-1))
            image_part.append(votes.sum(dim=1).argmax(dim=-1))
        tokens.append(torch.stack(token_part, dim=-1))
        images.append(torch.stack(image_part, dim=-1))
    return torch.cat(tokens), torch.cat(images)
