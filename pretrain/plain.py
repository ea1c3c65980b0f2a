"""The plain training step: what FLSL's published code computes, one view, one tensor and one wait at a time.

It stands beside `pretrain.step` as the reference for equality and for `python -m pretrain bench --against plain`.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F

from flsl.model import FLSL, StepValues
from flsl.runtime.precision import choose_dtype
from pretrain.batch import Batch
from pretrain.methods.flsl import Recipe
from pretrain.schedules import Schedules


def use_explicit_attention(model: torch.nn.Module) -> None:
    """Make every timm attention of a model compute its full attention matrix."""
    module: Any
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False


class PlainStep:
    """The same interface as `TrainingStep`, a single process, one micro-batch; without a loss scale, so that float16 is
    for timing alone."""

    def __init__(self, model: FLSL, recipe: Recipe, schedules: Schedules):
        self.model, self.recipe, self.schedules = model, recipe, schedules
        self.device = next(model.parameters()).device
        self.dtype = choose_dtype(recipe.training.precision, self.device, float16_on_cpu=True)
        use_explicit_attention(model)
        named = [(n, p) for n, p in model.student.named_parameters() if p.requires_grad]
        plain = [p for n, p in named if n.endswith(".bias") or p.ndim == 1]
        decayed = [p for n, p in named if not (n.endswith(".bias") or p.ndim == 1)]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=0.0, foreach=False)

    def __call__(self, batches: list[Batch], step: int) -> dict[str, float]:
        """Run one step; returns the losses as Python numbers."""
        (batch,) = batches
        schedules, model, options = self.schedules, self.model, self.recipe.optimizer
        for index, group in enumerate(self.optimizer.param_groups):
            group["lr"] = schedules.lr[step]
            if index == 0:
                group["weight_decay"] = schedules.weight_decay[step]
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            losses = plain_losses(model, batch, StepValues(**schedules.values(step)))
        self.optimizer.zero_grad()
        losses["loss"].backward()
        for parameter in model.student.parameters():
            if parameter.grad is not None and options.clip:
                norm = parameter.grad.norm(2).item()
                if options.clip / (norm + 1e-6) < 1:
                    parameter.grad.mul_(options.clip / (norm + 1e-6))
        if step // schedules.steps_per_epoch < options.freeze_last_layer:
            for name, parameter in model.student.named_parameters():
                if "last_layer" in name:
                    parameter.grad = None
        self.optimizer.step()
        momentum = schedules.rates(step)["ema_momentum"]
        with torch.no_grad():
            for student, teacher in zip(model.student.parameters(), model.teacher.parameters()):
                teacher.mul_(momentum).add_((1 - momentum) * student)
        return {name: value.item() for name, value in losses.items()}


def plain_losses(model: FLSL, batch: Batch, values: StepValues) -> dict[str, torch.Tensor]:
    """Compute the objective view by view with explicit matrices (no centering, no earlier stage)."""
    tau, shifts = model.temperature.student, batch.drawn.get("shifts")
    with torch.no_grad():
        tokens_teacher = model.teacher.backbone(batch.views[0], shift=shifts[0] if shifts else None)
    queries, modes, students, teachers = [], [], [], []
    for index, (view, places) in enumerate(zip(batch.views[1:], batch.drawn["queries"]), start=1):
        tokens = model.student.backbone(view, shift=shifts[index] if shifts else None)
        mask = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        mask[torch.arange(len(mask))[:, None], places] = True
        query = tokens[mask].view(len(tokens), -1, tokens.shape[-1])
        mode = torch.softmax(query @ tokens.transpose(1, 2) * values.scale_sa, -1) @ tokens
        mode_teacher = torch.softmax(query @ tokens_teacher.transpose(1, 2) * values.scale_ca, -1) @ tokens_teacher
        queries.append(query.flatten(0, 1))
        modes.append(mode.flatten(0, 1))
        students.append(model.student.head(mode).flatten(0, 1))
        teachers.append(model.teacher.head(mode_teacher).flatten(0, 1))
    query, mode = F.normalize(torch.cat(queries), dim=-1), F.normalize(torch.cat(modes), dim=-1)
    intra = 2 - 2 * (query * mode).sum(-1).mean()
    student = torch.softmax(torch.cat(students) / tau, -1)
    teacher = torch.softmax(torch.cat(teachers).detach() / values.tau_teacher, -1)
    inter = -(teacher * student.log()).sum(-1).mean()
    p_bar = student.mean(0)
    vmr = (p_bar * p_bar.log()).sum() + math.log(len(p_bar))
    loss = values.upsilon * intra + model.objective.eta * inter + model.objective.gamma * vmr
    return {"loss": loss, "intra": intra, "inter": inter, "vmr": vmr}
