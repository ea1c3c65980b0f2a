"""The training loop: data, steps, states, signals; resumes anywhere, bit for bit."""

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from flsl.checkpoint import load_encoder, save_encoder
from flsl.model import FLSL, ObjectiveConfig, StageConfig
from flsl.runtime.config import dump_config
from flsl.runtime.distributed import Ranks, any_rank, data_parallel
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from flsl.runtime.preemption import PREEMPTED, StopSignal, leave_signals_to_the_main_process
from pretrain.dataset import Order, ViewDataset, check_batch, collate, describe, find_images
from pretrain.journal import Journal
from pretrain.pictures import draw_pictures
from pretrain.recipe import Recipe
from pretrain.schedules import Schedules
from pretrain.state import StateFolder, check_unchanged
from pretrain.step import TrainingStep, to_device

COLLAPSED = 0.05  # entropy of the mean assignment, as a share of its maximum, that draws a warning


def build_model(recipe: Recipe) -> FLSL:
    """Build the student-teacher model of a recipe, its weights fixed by the seed."""
    torch.manual_seed(recipe.training.seed)
    loss, stage, previous = recipe.loss, recipe.stage, None
    if stage:
        previous = load_encoder(stage.checkpoint).encoder
        if stage.attention_level > previous.depth:
            raise UserError(f"stage.attention_level {stage.attention_level} exceeds the {previous.depth} blocks of it")
    objective = ObjectiveConfig(
        recipe.temperature.student,
        loss.eta,
        loss.gamma,
        loss.volume_maximization,
        centering=loss.centering,
        center_momentum=loss.center_momentum,
        layernorm_on_mode=loss.layernorm_on_mode,
    )
    constraint = stage and StageConfig(stage.checkpoint, stage.attention_level, stage.scale, stage.sharpness)
    model = FLSL(recipe.encoder, recipe.head, objective, recipe.training.drop_path, previous, constraint)
    model.student.backbone.set_grad_checkpointing(recipe.training.activation_checkpointing)
    return model


class Loop:
    """One rank's training run in the folder `out`."""

    def __init__(self, recipe: Recipe, data: Path, out: Path, ranks: Ranks):
        self.recipe, self.out, self.ranks = recipe, out, ranks
        training = recipe.training
        self.paths = find_images(data)
        self.about_data = describe(self.paths, data)
        check_batch(len(self.paths), recipe, ranks.world)
        self.order = Order(len(self.paths), recipe, ranks.rank, ranks.world)
        self.total_steps = training.epochs * self.order.steps_per_epoch
        self.states = StateFolder(out / "states", training.keep)
        self.unreadable: set[int] = set()
        self.recent: deque[dict[str, Any]] = deque()  # scalars since the last report, still on the device
        self.skipped = 0.0
        self.signal = StopSignal()

    def start(self, resume: str, allowed: list[str]) -> int:
        """Build the model, load the newest state where there is one, and return the first step to run.

        Raises:
            UserError: the recipe differs from the one the folder was started with.
        """
        if resume == "never" and self.ranks.is_main:
            self.states.clear()
        found = self.states.newest(self.ranks.device) if resume == "auto" else None
        if found:
            check_unchanged(found[2], self.recipe.to_dict(), allowed, self.out)
        model = build_model(self.recipe).to(self.ranks.device)
        schedules = Schedules.of(self.recipe, self.order.steps_per_epoch)
        self.step = TrainingStep(
            model, self.recipe, schedules, self.ranks.device, lambda module: data_parallel(module, self.ranks)
        )
        if not found:
            return 0
        first, state, _, complaints = found
        for complaint in complaints:
            self.say(f"warning: {complaint}", error=True)
        model.load_state_dict(state["model"])
        self.step.optimizer.load_state_dict(state["optimizer"])
        self.step.scaler.load_state_dict(state["scaler"])
        self.unreadable, self.skipped = set(state["unreadable"]), state["skipped"]
        self.recent.extend(state.get("recent", []))
        self.say(f"resuming {self.out} after step {first} of {self.total_steps}")
        return first

    def run(self, resume: str = "auto", allowed: list[str] | None = None) -> int:
        """Train to the end; returns 0, or `PREEMPTED` after SIGTERM or SIGUSR1.

        Raises:
            UserError: too many unreadable images or non-finite steps; a recipe that does not fit the folder.
        """
        first = self.start(resume, allowed or [])
        if self.ranks.is_main:
            self.out.mkdir(parents=True, exist_ok=True)
            text = dump_config(self.recipe.to_dict())
            write_atomic(self.out / "config.py", lambda temporary: temporary.write_text(text))
        if first >= self.total_steps:
            self.say(f"skipped: {self.out} already holds all {self.total_steps} steps")
            self.save(first)
            return 0
        with self.signal:
            return self.steps(first)

    def steps(self, first: int) -> int:
        """Take the steps from `first` on; returns `run`'s code."""
        training = self.recipe.training
        steps_per_epoch = self.order.steps_per_epoch
        journal = None
        if self.ranks.is_main:
            journal = Journal(self.out, first, self.total_steps, steps_per_epoch, training.batch_size, training.wandb)
        batches = self.batches(first)
        for step in range(first, self.total_steps):
            # Stochastic depth draws from the global generator: seeded by step and rank, it needs no saved state.
            torch.manual_seed(hash((training.seed, step, self.ranks.rank)) % 2**63)
            begin = time.perf_counter()
            samples = [next(batches) for _ in range(training.accumulate)]
            waited = time.perf_counter() - begin
            self.note_unreadable(samples)
            parts = [to_device(s, self.ranks.device, self.recipe.stage is not None) for s in samples]
            self.recent.append({"step": step, **self.step(parts, step)})
            if journal:
                journal.waited += waited
            done = step + 1
            if step % training.log_every == 0 or done == self.total_steps:
                self.report(step, journal)
            stopping = done % min(10, training.log_every) == 0 or self.ranks.world == 1
            stopping = stopping and any_rank(self.signal.requested, self.ranks)
            if stopping or done % training.checkpoint_every == 0 or done % steps_per_epoch == 0:
                self.save(done)
            if journal and done % steps_per_epoch == 0:
                self.draw(journal, done)
            if stopping and done < self.total_steps:
                self.say(f"stopped by a signal after step {done}; run the same command again to continue")
                break
        if journal:
            journal.close()
        return PREEMPTED if done < self.total_steps else 0

    def batches(self, first: int) -> Any:
        """Return an iterator over this rank's collated micro-batches from step `first` on."""
        training = self.recipe.training
        where = training.photometric
        if where == "auto":
            where = "workers" if self.ranks.device.type == "cpu" else "device"
        order = Order(len(self.paths), self.recipe, self.ranks.rank, self.ranks.world, first)
        return iter(
            DataLoader(
                ViewDataset(self.paths, self.recipe, where),
                batch_sampler=order,
                num_workers=training.workers,
                collate_fn=collate,
                pin_memory=self.ranks.device.type == "cuda",
                worker_init_fn=single_thread,
                prefetch_factor=4 if training.workers else None,
            )
        )

    def note_unreadable(self, samples: list[dict[str, Any]]) -> None:
        """Name unreadable images once; stop where they exceed the permitted share."""
        new = {i for sample in samples for i in sample["unreadable"]} - self.unreadable
        self.unreadable |= new
        for index in sorted(new):
            self.say(f"warning: unreadable image skipped: {self.paths[index]}", error=True)
        limit = self.recipe.training.max_unreadable
        if any("queries" not in sample for sample in samples) or len(self.unreadable) > limit * len(self.paths):
            names = ", ".join(str(self.paths[i]) for i in sorted(self.unreadable)[:5])
            raise UserError(
                f"{len(self.unreadable)} of {len(self.paths)} images cannot be read, more than the permitted share of "
                f"{limit:.2%} (training.max_unreadable): {names}. Restore or delete them, or raise the limit."
            )

    def report(self, step: int, journal: Journal | None) -> None:
        """Fetch the scalars since the last report, write them down, and stop on too many non-finite steps."""
        recent = [{k: float(v) for k, v in row.items()} for row in self.recent]
        self.recent.clear()
        bad = [int(row["step"]) for row in recent if row["skipped"]]
        self.skipped += len(bad)
        for at in bad:
            self.say(f"warning: step {at} had a non-finite gradient and was skipped", error=True)
        if self.skipped > self.recipe.training.max_skipped_steps:
            self.give_up(bad[-1])
        good = [row for row in recent if not row["skipped"]] or recent
        scalars = {
            key: sum(r[key] for r in good) / len(good) for key in ("loss", "intra", "inter", "vmr", "gradient_norm")
        }
        scalars |= {k: v for row in recent for k, v in row.items() if k not in scalars and k not in ("step", "skipped")}
        schedules = self.step.schedules
        values = schedules.values(step)
        scalars |= {
            "lr": float(schedules.lr[step]),
            "weight_decay": float(schedules.weight_decay[step]),
            "ema_momentum": float(schedules.ema_momentum[step]),
            **vars(values),
        }
        if scalars.get("assignment_entropy", 1.0) < COLLAPSED:
            self.say(
                f"warning: assignments collapse: entropy of the mean assignment is {scalars['assignment_entropy']:.1%} "
                f"of its maximum, {scalars['centroids_in_use']:.0f} centroids in use",
                error=True,
            )
        if journal:
            notes = {"skipped_steps": int(self.skipped), "unreadable_images": len(self.unreadable)}
            journal.report(step, scalars, notes)

    def give_up(self, step: int) -> None:
        """Save the inputs of a non-finite step (they follow from seed and step) and raise UserError."""
        path = self.out / f"nonfinite_step_{step}_rank_{self.ranks.rank}.pt"
        inputs = next(self.batches(step))
        write_atomic(path, lambda temporary: torch.save(inputs, temporary))
        raise UserError(
            f"{self.skipped:.0f} steps had non-finite gradients (training.max_skipped_steps "
            f"{self.recipe.training.max_skipped_steps}), the last at step {step}. Its inputs are in {path}; the last "
            f"good state is in {self.states.folder}. Lower optimizer.lr, or use training.precision bf16 or fp32."
        )

    def save(self, done: int) -> None:
        """Write the training state and the teacher's encoder; a full disk is loud but does not end the run."""
        if not self.ranks.is_main:
            return
        state = {
            "model": self.step.model.state_dict(),
            "optimizer": self.step.optimizer.state_dict(),
            "scaler": self.step.scaler.state_dict(),
            "unreadable": sorted(self.unreadable),
            "skipped": self.skipped,
            "recent": [{k: float(v) for k, v in row.items()} for row in self.recent],
        }
        try:
            if done not in self.states.steps():
                self.states.save(done, state, self.recipe.to_dict())
            save_encoder(
                self.step.model.teacher.backbone,
                self.out / "encoder.safetensors",
                method="FLSL",
                name=self.recipe.name,
                pretraining={
                    **self.about_data,
                    "epochs": done / self.order.steps_per_epoch,
                    "steps": done,
                    "batch_size": self.recipe.training.batch_size,
                    "recipe": self.recipe.to_dict(),
                },
            )
        except (UserError, OSError, RuntimeError) as error:
            self.say(f"ERROR: state after step {done} could not be saved, training goes on: {error}", error=True)

    def draw(self, journal: Journal, done: int) -> None:
        """Send pictures of the teacher's features to TensorBoard, every `pictures_every` epochs."""
        every = self.recipe.training.pictures_every
        if every and done // self.order.steps_per_epoch % every == 0:
            readable = [p for i, p in enumerate(self.paths) if i not in self.unreadable]
            paths = readable[:: max(len(readable) // 4, 1)][:4]
            teacher = self.step.model.teacher.backbone
            for name, picture in draw_pictures(
                teacher, paths, self.recipe.views.global_size, self.ranks.device
            ).items():
                journal.board.add_image(name, picture, done)

    def say(self, text: str, error: bool = False) -> None:
        """Print on the main rank."""
        if self.ranks.is_main:
            print(text, file=sys.stderr if error else sys.stdout, flush=True)


def single_thread(_: int) -> None:
    """Keep a data worker on one thread, and leave signals to the main process."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    leave_signals_to_the_main_process()
