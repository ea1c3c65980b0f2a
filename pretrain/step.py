"""One optimizer step: rates, forward, backward, clip, freeze, AdamW, what follows it (docs/method.md, "Optimization")."""

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from flsl.runtime.precision import choose_dtype
from pretrain.batch import Batch
from pretrain.capture import Captured, Record, record_on_gpu
from pretrain.method import Method
from pretrain.optimizer import build_optimizer, clip_gradients, update
from pretrain.recipe import CentroidOptimizer, Recipe
from pretrain.schedules import Rates, Schedules


class TrainingStep:
    """Everything that one step changes: model, optimizer, gradient scaler."""

    def __init__(
        self,
        model: Method,
        recipe: Recipe,
        schedules: Schedules,
        device: torch.device,
        wrap: Callable[[Method], nn.Module] = lambda model: model,
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
        for encoder in model.encoders:
            encoder.joins_sizes = recipe.runtime.join_views
        if compiles(recipe, device):
            compile_encoders(model)
        self.wrapped: Any = wrap(model)
        if record is None and records(recipe, device) and self.wrapped is model:
            record = record_on_gpu
        self.captured = None if record is None else Captured(record)

    def __call__(self, batches: list[Batch], step: int) -> dict[str, torch.Tensor]:
        """Run step `step` on its micro-batches; returns scalars that are still on the device.

        A non-finite gradient leaves weights and center untouched (`skipped` is 1): the decision is made on the device.
        """
        self.rates.move_to(step)
        optimizer = self.recipe.optimizer
        epochs = optimizer.freeze_last_layer if isinstance(optimizer, CentroidOptimizer) else 0
        frozen = step // self.schedules.steps_per_epoch < epochs
        if self.captured is None:
            return self.compute(batches, frozen, health=step % self.recipe.runtime.log_every == 0)
        tensors = [t for batch in batches for t in batch.tensors()]
        return self.captured(
            tensors, lambda inputs: self.compute(_split(inputs, batches), frozen), self.keep, key=frozen
        )

    def compute(self, batches: list[Batch], frozen: bool, health: bool = True) -> dict[str, torch.Tensor]:
        """Run the step whose rates are set.

        Args:
            batches: its micro-batches.
            frozen: whether the last layer stays as it is.
            health: return what shows a collapse too.
        """
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            values = self.model.before_step(batches, self.rates.values())
        parts, carried = [], []
        for index, batch in enumerate(batches):
            last = index == len(batches) - 1
            with nullcontext() if last or not hasattr(self.wrapped, "no_sync") else self.wrapped.no_sync():
                with self._autocast():
                    output = self.wrapped(batch, values)
                self.scaler.scale(output.loss / len(batches)).backward()
            parts.append(output.scalars)
            carried.append(output.carried)
            scalars = output.health() if health and last else {}
            del output  # one micro-batch's tokens at a time
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.parameters, self.recipe.optimizer.clip)
        for parameter in self.model.last_layer() if frozen else ():
            parameter.grad = None  # no step, no decay and no optimizer state for it
        held = ~torch.isfinite(norm)  # the same on all ranks, whose gradients are averaged
        update(self.optimizer, self.rates.lr, self.rates.decay, held)
        if self.scaler.is_enabled():
            self.scaler.update()
        self.model.after_step(carried, self.rates.share, held)
        with torch.no_grad():
            losses = {name: torch.stack([row[name] for row in parts]).mean() for name in parts[0]}
            # An overflow while the scaler looks for its scale is its ordinary way of working; a bad loss is not.
            skipped = ~torch.isfinite(losses["loss"]) if self.scaler.is_enabled() else held
            return losses | {"gradient_norm": norm, "skipped": skipped.float()} | scalars

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)

    def keep(self) -> Callable[[], None]:
        """Copy all that a step changes; the function that is returned puts it back."""
        # Copies with gradients would keep nodes of the stream that is now, which no recording may wait for.
        before = [(tensor, tensor.detach().clone()) for tensor in self._changing()]
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


def compile_encoders(model: Method) -> None:
    """Compile the encoders for training in place, so that parameters keep their names; the whole networks would take a dozen
    times as long."""
    from torch._dynamo import config  # takes seconds

    settings: Any = config
    # The sizes that all models of this process have; beyond this many, nothing is compiled any more. Its name has changed.
    setattr(settings, "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit", 64)
    settings.optimize_ddp = False  # a block is too small to be cut where DDP's buckets end
    for encoder in model.encoders:
        encoder.compile_for_training()


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
