"""One optimizer step: rates, forward, backward, clip, freeze, AdamW, EMA (docs/method.md, "Optimization")."""

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from flsl.losses import mean_over_ranks
from flsl.model import FLSL, StepOutput, StepValues
from flsl.runtime.precision import choose_dtype
from pretrain.apply_batched import ApplyBatched, apply_batched
from pretrain.capture import Captured, Record, record_on_gpu
from pretrain.optimizer import build_optimizer, clip_gradients, drop_last_layer_gradients, update
from pretrain.photometric import normalize
from pretrain.recipe import Recipe
from pretrain.schedules import Rates, Schedules


@dataclass
class Batch:
    """One micro-batch on the device: normalized views (the teacher's first), query indices, crops for multi-stage, the
    draws of stochastic depth, and how far positions are moved."""

    views: list[torch.Tensor]
    queries: list[torch.Tensor]
    crops: list[torch.Tensor] = field(default_factory=list)
    paths: list[torch.Tensor] = field(default_factory=list)
    shifts: list[torch.Tensor] = field(default_factory=list)

    def tensors(self) -> list[torch.Tensor]:
        """Return all of it in one list."""
        return [*self.views, *self.queries, *self.crops, *self.paths, *self.shifts]

    def filled_with(self, tensors: Sequence[torch.Tensor]) -> "Batch":
        """Return a batch like this one that holds other tensors, in the order of `tensors`."""
        left = iter(tensors)
        parts = (self.views, self.queries, self.crops, self.paths, self.shifts)
        return Batch(*([next(left) for _ in part] for part in parts))


def to_device(
    sample: dict[str, Any], device: torch.device, multi_stage: bool, apply: ApplyBatched = apply_batched
) -> Batch:
    """Move a collated sample to the device and finish its views there; `apply` changes colors."""

    def move(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        return [t.to(device, non_blocking=True) for t in tensors]

    crops = move(sample.get("crops", []))
    if "views" in sample:
        views = [normalize(v.float() / 255) for v in move(sample["views"])]
    else:
        parameters = sample["parameters"].to(device, non_blocking=True).unbind(1)
        views = [apply(crop, row) for crop, row in zip(crops, parameters)]
    plain = [normalize(crop.float() / 255) for crop in crops] if multi_stage else []
    return Batch(views, move(sample["queries"]), plain, move(sample.get("paths", [])), move(sample.get("shifts", [])))


class TrainingStep:
    """Everything that one step changes: model, optimizer, gradient scaler."""

    def __init__(
        self,
        model: FLSL,
        recipe: Recipe,
        schedules: Schedules,
        device: torch.device,
        wrap: Callable[[FLSL], nn.Module] = lambda model: model,
        record: Record | None = None,
    ):
        """Build the optimizer; compile and choose how steps are run.

        Args:
            model: on the device.
            recipe: what to do.
            schedules: of the whole run.
            device: where steps run.
            wrap: puts data parallelism around the model; only the wrapped module's forward is called.
            record: how steps are recorded, where they are to be; None lets recipe and device decide.
        """
        self.model, self.recipe, self.schedules, self.device = model, recipe, schedules, device
        self.optimizer = build_optimizer(model.student)
        self.parameters = [p for p in model.student.parameters() if p.requires_grad]
        self.dtype = choose_dtype(recipe.training.precision, device, float16_on_cpu=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)
        self.rates = Rates(schedules, device, self.parameters[0].dtype)
        if compiles(recipe, device):
            compile_encoders(model, recipe)
        self.wrapped: Any = wrap(model)
        if record is None and records(recipe, device) and self.wrapped is model:
            record = record_on_gpu
        self.captured = None if record is None else Captured(self.keep, record)

    def __call__(self, batches: list[Batch], step: int) -> dict[str, torch.Tensor]:
        """Run step `step` on its micro-batches; returns scalars that are still on the device.

        A non-finite gradient leaves weights and center untouched (`skipped` is 1): the decision is made on the device.
        """
        self.rates.move_to(step)
        frozen = step // self.schedules.steps_per_epoch < self.recipe.optimizer.freeze_last_layer
        if self.captured is None:
            return self.compute(batches, frozen, health=step % self.recipe.runtime.log_every == 0)
        tensors = [t for batch in batches for t in batch.tensors()]
        return self.captured(tensors, lambda inputs: self.compute(_split(inputs, batches), frozen), key=frozen)

    def compute(self, batches: list[Batch], frozen: bool, health: bool = True) -> dict[str, torch.Tensor]:
        """Run the step whose rates are set.

        Args:
            batches: its micro-batches.
            frozen: whether the centroid layer stays as it is.
            health: return what shows a collapse too.
        """
        self.optimizer.zero_grad(set_to_none=True)
        values = self.rates.values()
        whole = self.whole_assignment(batches, values)
        parts, logits = [], []
        for index, batch in enumerate(batches):
            last = index == len(batches) - 1
            with nullcontext() if last or not hasattr(self.wrapped, "no_sync") else self.wrapped.no_sync():
                output = self._forward(batch, values, whole)
                self.scaler.scale(output.loss / len(batches)).backward()
            parts.append(output.losses())
            logits.append(output.logits_teacher.mean(0))
            scalars = output.health() if health and last else {}
            del output  # one micro-batch's tokens at a time
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.parameters, self.recipe.optimizer.clip)
        if frozen:
            drop_last_layer_gradients(self.model.student)
        held = ~torch.isfinite(norm)  # the same on all ranks, whose gradients are averaged
        update(self.optimizer, self.rates.lr, self.rates.decay, held)
        if self.scaler.is_enabled():
            self.scaler.update()
        if self.model.objective.centering:
            self.model.update_center(torch.stack(logits), keep=held)
        # After a skipped step it moves towards an unchanged student.
        self.model.update_teacher(self.rates.share)
        with torch.no_grad():
            losses = {name: torch.stack([row[name] for row in parts]).mean() for name in parts[0]}
            # An overflow while the scaler looks for its scale is its ordinary way of working; a bad loss is not.
            skipped = ~torch.isfinite(losses["loss"]) if self.scaler.is_enabled() else held
            return losses | {"gradient_norm": norm, "skipped": skipped.float()} | scalars

    def whole_assignment(self, batches: list[Batch], values: StepValues) -> torch.Tensor | None:
        """Return the mean assignment `(K,)` of all micro-batches and ranks, which the volume term of each needs before its
        gradient is taken; None where there is one micro-batch only, which finds it on its way.

        It costs the student's forward pass once more, and the memory of one micro-batch.
        """
        if len(batches) == 1 or not self.model.objective.volume_maximization:
            return None
        # What a network draws by itself here it must draw again with gradients.
        draws = self.recipe.training.drop_path > 0 and self.recipe.encoder.timm_model is not None
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices) if draws else nullcontext(), self._autocast():
            parts = [
                self.model.mean_assignment(b.views, b.queries, values, paths=b.paths, shifts=b.shifts) for b in batches
            ]
        return mean_over_ranks(torch.stack(parts).mean(0))

    def _forward(self, batch: Batch, values: StepValues, whole: torch.Tensor | None) -> StepOutput:
        with self._autocast():
            drawn = {"paths": batch.paths, "shifts": batch.shifts}
            return self.wrapped(batch.views, batch.queries, values, batch.crops, **drawn, p_bar=whole)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)

    def keep(self) -> Callable[[], None]:
        """Copy all that a step changes; the function that is returned puts it back."""
        before = [(tensor, tensor.clone()) for tensor in self._changing()]
        scaler = copy.deepcopy(self.scaler.state_dict())

        @torch.no_grad()
        def put_back() -> None:
            known = {id(tensor) for tensor, _ in before}
            for tensor, value in before:
                tensor.copy_(value)
            for tensor in self._changing():
                if id(tensor) not in known:  # an average that the optimizer has begun since, from 0
                    tensor.zero_()
            self.scaler.load_state_dict(scaler)

        return put_back

    def _changing(self) -> list[torch.Tensor]:
        averages = (value for state in self.optimizer.state.values() for value in state.values())
        with torch.no_grad():
            return [*self.model.parameters(), *self.model.buffers(), *averages]

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on: of model, optimizer and scaler."""
        optimizer = self.optimizer.state_dict()
        for group in optimizer["param_groups"]:
            group["lr"] = 0.0  # it follows from the step
        return {"model": self.model.state_dict(), "optimizer": optimizer, "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        capturable = self.optimizer.defaults["capturable"]
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["capturable"] = capturable  # a state of another device
        self.scaler.load_state_dict(state["scaler"])


def compile_encoders(model: FLSL, recipe: Recipe) -> None:
    """Compile both encoders in place, so that parameters keep their names, for each size of views on its own."""
    from torch._dynamo import config  # takes seconds

    settings: Any = config
    # The sizes that all models of this process have; beyond this many, nothing is compiled any more. Its name has changed.
    setattr(settings, "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit", 64)
    if recipe.runtime.activation_checkpointing:  # whose recomputation cannot be cut into DDP's buckets
        settings.optimize_ddp = False
    model.student.backbone.compile(dynamic=False)
    model.teacher.backbone.compile(dynamic=False)


def compiles(recipe: Recipe, device: torch.device) -> bool:
    """Tell whether the encoders are compiled: where the recipe says so, or on a GPU with Triton unless it says no.

    A compiler may choose kernels by their time, so a run that has to repeat bit for bit is only compiled where that is
    asked for.
    """
    wanted = recipe.runtime.compile
    if wanted is not None:
        return wanted
    return device.type == "cuda" and not recipe.training.deterministic and find_spec("triton") is not None


def records(recipe: Recipe, device: torch.device) -> bool:
    """Tell whether steps can be recorded as a CUDA graph, and are not to be run one by one. Networks of timm's draw random
    numbers of their own."""
    return device.type == "cuda" and recipe.runtime.cuda_graph and recipe.encoder.timm_model is None


def _split(tensors: Sequence[torch.Tensor], like: list[Batch]) -> list[Batch]:
    """Undo the joining of all micro-batches' tensors."""
    size = len(like[0].tensors())
    return [like[0].filled_with(tensors[i : i + size]) for i in range(0, len(tensors), size)]
