"""Nearest neighbors of tokens and their votes."""

import torch

from eval.progress import Progress, tracked


def nearest(
    queries: torch.Tensor, bank: torch.Tensor, k: int, chunk: int = 32768, rows: int = 1152
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k most similar bank rows of each query, most similar first.

    The bank goes by once, in chunks, and the best so far are kept: no (queries, bank) matrix is ever held, and a bank
    that is larger than the memory of the queries' device is carried there once.

    Args:
        queries: (q, D), rows of length 1.
        bank: (m, D), rows of length 1, on any device.
        k: at most m.
        chunk: bank rows at once.
        rows: queries at once.

    Returns:
        Similarities (q, k) and bank indices (q, k).
    """
    parts = queries.split(rows)
    best = [part[:, :0] for part in parts]
    index = [part[:, :0].long() for part in parts]
    starts = range(0, len(bank), chunk)
    progress = Progress.on_stderr("nearest neighbors: block", len(starts) * len(parts))
    for block, start in enumerate(starts):
        here = bank[start : start + chunk].to(queries.device).T
        for number, part in enumerate(parts):
            similar = part @ here
            found, where = similar.topk(min(k, similar.shape[1]), dim=1)
            merged = torch.cat([best[number], found], dim=1)
            best[number], order = merged.topk(min(k, merged.shape[1]), dim=1)
            index[number] = torch.cat([index[number], where + start], dim=1).gather(1, order)
            progress.update(block * len(parts) + number + 1)
    return torch.cat(best), torch.cat(index)


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
        batch: images that vote at once.

    Returns:
        What each token votes for most, (n, tokens, len(neighbors)), and what the image's tokens vote for together,
        each with equal weight, (n, len(neighbors)).
    """
    tokens, images, rows = [], [], batch * queries.shape[1]
    found, where = nearest(queries.flatten(0, 1), bank, max(neighbors))
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
