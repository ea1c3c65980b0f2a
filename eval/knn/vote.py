"""Nearest neighbors of tokens and their votes."""

import torch


def nearest(queries: torch.Tensor, bank: torch.Tensor, k: int, chunk: int = 32768) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k most similar bank rows of each query, most similar first.

    The bank is visited in chunks and the best so far are kept, so that no (queries, bank) matrix is ever held.

    Args:
        queries: (q, D), rows of length 1.
        bank: (m, D), rows of length 1.
        k: at most m.
        chunk: bank rows at once.

    Returns:
        Similarities (q, k) and bank indices (q, k).
    """
    best = queries.new_full((len(queries), 0), 0.0)
    index = torch.empty(len(queries), 0, dtype=torch.long, device=queries.device)
    for start in range(0, len(bank), chunk):
        similar = queries @ bank[start : start + chunk].to(queries.device).T
        found, where = similar.topk(min(k, similar.shape[1]), dim=1)
        merged = torch.cat([best, found], dim=1)
        best, order = merged.topk(min(k, merged.shape[1]), dim=1)
        index = torch.cat([index, where + start], dim=1).gather(1, order)
    return best, index


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
        bank: (m, D), rows of length 1.
        bank_labels: (m,) class index.
        classes: number of classes.
        neighbors: numbers of neighbors, each at most m.
        temperature: of the votes.
        batch: images at once.

    Returns:
        What each token votes for most, (n, tokens, len(neighbors)), and what the image's tokens vote for together,
        each with equal weight, (n, len(neighbors)).
    """
    tokens, images = [], []
    for part in queries.split(batch):
        similarity, index = nearest(part.flatten(0, 1), bank, max(neighbors))
        labels = bank_labels.to(index.device)[index]
        token_part, image_part = [], []
        for k in neighbors:
            votes = token_votes(similarity[:, :k], labels[:, :k], classes, temperature)
            votes = votes.view(len(part), -1, classes)
            token_part.append(votes.argmax(dim=-1))
            image_part.append(votes.sum(dim=1).argmax(dim=-1))
        tokens.append(torch.stack(token_part, dim=-1))
        images.append(torch.stack(image_part, dim=-1))
    return torch.cat(tokens), torch.cat(images)
