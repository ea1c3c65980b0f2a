"""AdamW with two weight-decay groups, and gradients clipped tensor by tensor."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import nn


def build_optimizer(student: nn.Module) -> torch.optim.AdamW:
    """Return AdamW over the student; `update` sets the learning rate and does the decay.

    Group 0 is decayed: parameters of two or more dimensions whose name does not end in `.bias`. Group 1 is the rest.
    The fused implementation leaves weights untouched where `found_inf` is set, without waiting for the device.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in student.named_parameters():
        if parameter.requires_grad:
            (plain if name.endswith(".bias") or parameter.ndim == 1 else decayed).append(parameter)
    on_gpu = decayed[0].device.type == "cuda"
    optimizer = torch.optim.AdamW(
        [{"params": decayed}, {"params": plain}],
        lr=0.0,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        fused=True,
        capturable=on_gpu,  # its steps may be recorded, and it need not warn of those that are not
    )
    optimizer._warned_capturable_if_run_uncaptured = True
    return optimizer


@torch.no_grad()
def update(optimizer: torch.optim.AdamW, lr: torch.Tensor, decay: torch.Tensor, held: torch.Tensor) -> None:
    """Take one step of AdamW by rates that stay on the device, which the optimizer's own weight decay cannot.

    Args:
        optimizer: from `build_optimizer`.
        lr: the learning rate; float32 on a GPU.
        decay: what decayed weights are multiplied with before, 1 - lr * weight decay.
        held: boolean; where it is true, nothing changes.
    """
    moving = [p for p in optimizer.param_groups[0]["params"] if p.grad is not None]
    torch._foreach_mul_(moving, torch.where(held, torch.ones_like(decay), decay))
    for group in optimizer.param_groups:
        group |= {"lr": lr, "weight_decay": 0.0}
    for name, value in (("grad_scale", None), ("found_inf", held.float())):  # what fused AdamW looks for
        setattr(optimizer, name, value)
    optimizer.step()


@torch.no_grad()
def clip_gradients(parameters: list[nn.Parameter], limit: float) -> torch.Tensor:
    """Scale each gradient whose own norm exceeds `limit` down to it (0 switches it off); no wait for the device.

    Returns:
        The norm of the whole gradient before clipping, a scalar tensor.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch._foreach_norm(gradients)
    if limit:
        coefficients = torch._foreach_add(norms, 1e-6)
        torch._foreach_reciprocal_(coefficients)
        torch._foreach_mul_(coefficients, limit)
        torch._foreach_clamp_max_(coefficients, 1.0)
        multiply = torch._foreach_mul_ if norms[0].device.type == "cpu" else multiply_alike
        multiply(gradients, coefficients)
    return torch.linalg.vector_norm(torch.stack(norms))


@torch.no_grad()
def multiply_alike(tensors: Sequence[torch.Tensor], factors: Sequence[torch.Tensor]) -> None:
    """Multiply each tensor in place with its own scalar tensor, vectors of one length together: for that there is no kernel for
    many pairs at once, and on a GPU one of its own takes longer than the numbers of a bias or a norm, two thirds of all."""
    vectors = sorted((at for at, tensor in enumerate(tensors) if tensor.ndim == 1), key=lambda at: len(tensors[at]))
    others = [at for at, tensor in enumerate(tensors) if tensor.ndim != 1]
    if others:
        torch._foreach_mul_([tensors[at] for at in others], [factors[at] for at in others])
    products: list[torch.Tensor] = []
    for _, group in groupby(vectors, key=lambda at: len(tensors[at])):
        alike = list(group)
        rows = torch.stack([tensors[at] for at in alike]) * torch.stack([factors[at] for at in alike])[:, None]
        products += rows.unbind()
    if vectors:
        torch._foreach_copy_([tensors[at] for at in vectors], products)
