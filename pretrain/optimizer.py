"""AdamW as FLSL uses it: two weight-decay groups, gradients clipped tensor by tensor, a last layer that starts frozen."""

from typing import Any

import torch
from torch import nn

from flsl.model import Network


def build_optimizer(student: nn.Module) -> torch.optim.AdamW:
    """Return AdamW over the student; learning rate and weight decay are set at every step.

    Group 0 is decayed: parameters of two or more dimensions whose name does not end in `.bias`. Group 1 is the rest.
    The fused implementation leaves weights untouched where `found_inf` is set, without waiting for the device.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in student.named_parameters():
        if parameter.requires_grad:
            (plain if name.endswith(".bias") or parameter.ndim == 1 else decayed).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, lr: float, weight_decay: float) -> None:
    """Set the step's learning rate on both groups and its weight decay on the decayed one."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.param_groups[0]["weight_decay"] = weight_decay


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
        torch._foreach_mul_(gradients, coefficients)
    return torch.linalg.vector_norm(torch.stack(norms))


def drop_last_layer_gradients(student: Network) -> None:
    """Remove the gradients of the centroid layer: no step, no decay and no optimizer state for it."""
    for parameter in student.head.last_layer.parameters():
        parameter.grad = None
