"""One optimizer step: rates, forward, backward, clip, freeze, AdamW, EMA (docs/method.md, "Optimization")."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from flsl.model import FLSL, StepOutput
from flsl.runtime.precision import choose_dtype
from pretrain.apply_batched import apply_batched
from pretrain.optimizer import build_optimizer, clip_gradients, drop_last_layer_gradients, set_rates
from pretrain.photometric import normalize
from pretrain.recipe import Recipe
from pretrain.schedules import Schedules


@dataclass
class Batch:
    """One micro-batch on the device: normalized views (the teacher's first), query indices, crops for multi-stage."""

    views: list[torch.Tensor]
    queries: list[torch.Tensor]
    crops: list[torch.Tensor] = field(default_factory=list)


def to_device(sample: dict[str, Any], device: torch.device, multi_stage: bool) -> Batch:
    """Move a collated sample to the device and finish its views there."""

    def move(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        return [t.to(device, non_blocking=True) for t in tensors]

    if "views" in sample:
        views = [normalize(v.float() / 255) for v in move(sample["views"])]
    else:
        parameters = sample["parameters"]
        views = [apply_batched(crop, parameters[:, i]) for i, crop in enumerate(move(sample["crops"]))]
    crops = [normalize(c.float() / 255) for c in move(sample["crops"])] if multi_stage else []
    return Batch(views, move(sample["queries"]), crops)


class TrainingStep:
    """Everything that one step changes: model, optimizer, gradient scaler."""

    def __init__(
        self,
        model: FLSL,
        recipe: Recipe,
        schedules: Schedules,
        device: torch.device,
        wrap: Callable[[FLSL], nn.Module] = lambda model: model,
    ):
        """`wrap` puts data parallelism around the model; only the wrapped module's forward is called."""
        self.model, self.recipe, self.schedules, self.device = model, recipe, schedules, device
        self.optimizer = build_optimizer(model.student)
        self.parameters = [p for p in model.student.parameters() if p.requires_grad]
        self.dtype = choose_dtype(recipe.training.precision, device, float16_on_cpu=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)
        if recipe.runtime.compile:  # in place, so that parameters keep their names
            model.student.backbone.compile()
            model.teacher.backbone.compile()
        self.wrapped: Any = wrap(model)

    def __call__(self, batches: list[Batch], step: int) -> dict[str, torch.Tensor]:
        """Run step `step` on its micro-batches; returns scalars that are still on the device.

        A non-finite gradient leaves weights and center untouched (`skipped` is 1): the decision is made on the device.
        """
        schedules = self.schedules
        set_rates(self.optimizer, float(schedules.lr[step]), float(schedules.weight_decay[step]))
        self.optimizer.zero_grad(set_to_none=True)
        values, outputs = schedules.values(step), []
        for index, batch in enumerate(batches):
            last = index == len(batches) - 1
            later = nullcontext() if last or not hasattr(self.wrapped, "no_sync") else self.wrapped.no_sync()
            with later:
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32):
                    output: StepOutput = self.wrapped(batch.views, batch.queries, values, batch.crops)
                self.scaler.scale(output.loss / len(batches)).backward()
            outputs.append(output)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.parameters, self.recipe.optimizer.clip)
        if step // schedules.steps_per_epoch < self.recipe.optimizer.freeze_last_layer:
            drop_last_layer_gradients(self.model.student)
        held = ~torch.isfinite(norm)  # the same on all ranks, whose gradients are averaged
        skipped = held.float()
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
            # An overflow while the scaler looks for its scale is its ordinary way of working; a bad loss is not.
            skipped = (~torch.isfinite(torch.stack([o.loss.detach() for o in outputs]).sum())).float()
        else:
            for name, value in (("grad_scale", None), ("found_inf", skipped)):  # what fused AdamW looks for
                setattr(self.optimizer, name, value)
            self.optimizer.step()
        if self.model.objective.centering:
            self.model.update_center(torch.cat([o.logits_teacher for o in outputs]), keep=held)
        # After a skipped step it moves towards an unchanged student.
        self.model.update_teacher(float(schedules.ema_momentum[step]))
        with torch.no_grad():
            losses = [output.losses() for output in outputs]
            scalars = {name: torch.stack([row[name] for row in losses]).mean() for name in losses[0]}
            scalars |= {"gradient_norm": norm, "skipped": skipped}
            if step % self.recipe.runtime.log_every == 0:
                scalars |= outputs[-1].health()
        return scalars
