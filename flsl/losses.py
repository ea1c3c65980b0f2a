"""The three losses of FLSL (docs/method.md, "Losses"). Every mean is over all sampled tokens of all student views."""

import math

import torch
import torch.nn.functional as F

from flsl.across_ranks import mean_over_ranks


def intra_view_loss(queries: torch.Tensor, modes: torch.Tensor) -> torch.Tensor:
    """Return the mean of `2 - 2 cos(q, m)` over rows `(R, D)`; gradients pass through both arguments."""
    return (2 - 2 * (F.normalize(queries, dim=-1) * F.normalize(modes, dim=-1)).sum(-1)).mean()


def inter_view_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of assignments; both are logits `(R, K)` over their temperature.

    The teacher's carry no gradient. `log_softmax` keeps an empty centroid finite.
    """
    return -(torch.softmax(teacher.detach(), dim=-1) * torch.log_softmax(student, dim=-1)).sum(-1).mean()


def mean_assignment(student: torch.Tensor) -> torch.Tensor:
    """Return p_bar `(K,)`: the mean of `softmax(student)` over rows `(R, K)` and over all ranks.

    The all-reduce passes the gradient through unchanged; together with the gradient averaging of data parallelism
    that is the gradient of the global mean (equal numbers of rows on every rank).
    """
    local = torch.softmax(student, dim=-1).mean(0)
    return local + (mean_over_ranks(local.detach()) - local.detach())


def gradient_of_a_part(student: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Return `whole`, p_bar `(K,)` of all equal parts of a step and of all ranks, with the gradient of this part's rows.

    `student` are its logits `(R, K)`. p_bar is the mean of the parts' means, and its loss depends on the parts through it
    alone: the mean of the parts' gradients, each taken at the whole p_bar, is the gradient of one large batch.
    """
    local = torch.softmax(student, dim=-1).mean(0)
    return whole + (local - local.detach())


def volume_loss(p_bar: torch.Tensor, prior: torch.Tensor | None = None) -> torch.Tensor:
    """Return `KL(p_bar || prior)`, uniform by default: volume maximization, which keeps clusters non-empty.

    The logarithm's argument is kept above the smallest float, so an empty centroid adds 0 and a finite gradient.
    """
    log_prior = -math.log(len(p_bar)) if prior is None else prior.log()
    log_p = p_bar.clamp_min(torch.finfo(p_bar.dtype).tiny).log()
    return (p_bar * (log_p - log_prior)).sum()
