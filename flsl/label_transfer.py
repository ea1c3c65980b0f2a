"""In-context segmentation: the labels of nearest patches stand for a patch."""

import torch
import torch.nn.functional as F


def patch_labels(masks: torch.Tensor, grid: tuple[int, int], classes: int) -> torch.Tensor:
    """Return the share of each class in each patch, `(B, N, C)`, of masks `(B, H, W)`; ids that are no class are void.

    A patch with void pixels sums to less than 1.
    """
    shares = [F.adaptive_avg_pool2d((masks == label).float(), grid) for label in range(classes)]
    return torch.stack(shares, dim=-1).flatten(1, 2)


def transfer_labels(
    queries: torch.Tensor, bank: torch.Tensor, labels: torch.Tensor, neighbors: int = 30, temperature: float = 0.02
) -> torch.Tensor:
    """Return labels `(Q, C)` of queries `(Q, D)`: the mean over the nearest of a bank `(M, D)` with labels `(M, C)`.

    Nearness is the cosine; neighbors are weighted by `softmax(cosine / temperature)`.
    """
    similarity = F.normalize(queries, dim=-1) @ F.normalize(bank, dim=-1).T
    nearest, index = similarity.topk(min(neighbors, len(bank)), dim=1)
    weights = torch.softmax(nearest / temperature, dim=1)
    return (weights[..., None] * labels[index]).sum(dim=1)
