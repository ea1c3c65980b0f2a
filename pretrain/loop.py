"""The training loop: data, steps, states, signals; resumes anywhere, bit for bit."""

import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch

from flsl.runtime.config import dump_config
from flsl.runtime.distributed import Ranks, any_rank, data_parallel, gather, on_main
from flsl.runtime.errors import SaidElsewhere, UserError, is_out_of_memory
from flsl.runtime.files import write_tensors, write_text
from flsl.runtime.preemption import Preempted, StopSignal
from flsl.runtime.run_folder import RunFolder
from flsl.runtime.stopwatch import peak_device_memory
from flsl.runtime.text import shorten
from pretrain.dataset import Order
from pretrain.feed import Feed, load, unusable
from pretrain.flops import count_flops
from pretrain.journal import Journal
from pretrain.method import build_model
from pretrain.pictures import draw_pictures
from pretrain.probe import Probe
from pretrain.recipe import Recipe
from pretrain.saving import ENCODER, Saving
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep

CONFIG = "config.py"


class Loop:
    """One rank's training run in the folder `out`."""

    def __init__(
        self,
        recipe: Recipe,
        paths: list[Path],
        out: Path,
        *,
        ranks: Ranks,
        folder: RunFolder | None,
        about_data: dict[str, Any],
        given: Any = None,
        probe: Probe | None = None,
    ):
        """Nothing is built or read yet.

        Args:
            recipe: what to do.
            paths: the images, the same on every rank.
            out: where states, encoder and logs go.
            ranks: this process among all.
            folder: `out`, owned; the main rank has it, the others None.
            about_data: what the encoder's metadata say of the images.
            given: what the method read beforehand.
            probe: looks at the features on the way; the main rank has it, where the recipe asks for one.
        """
        self.recipe, self.paths, self.out, self.ranks, self.folder = recipe, paths, out, ranks, folder
        self.about_data, self.given, self.probe = about_data, given, probe
        self.order = Order(len(paths), recipe, ranks.rank, ranks.world)
        self.total_steps = recipe.training.epochs * self.order.steps_per_epoch
        self.saving = Saving(
            recipe,
            out,
            steps_per_epoch=self.order.steps_per_epoch,
            total_steps=self.total_steps,
            folder=folder,
            about_data=about_data,
            say=self.say,
        )
        self.unreadable: set[int] = set()
        self.recent: deque[dict[str, Any]] = deque()  # scalars since the last report, still on the device
        self.skipped = 0.0
        self.signal = StopSignal()

    def run(self) -> None:
        """Train to the end, from the newest state in the folder where there is one.

        Raises:
            UserError: too many unreadable images or non-finite steps; no state that can be used; or the last state or
                the encoder could not be written.
            Preempted: a signal asked to stop, and there is a state to go on from.
        """
        try:
            first, has_state = on_main(self.saving.find)
            if has_state or first < self.total_steps:
                self.build(first if has_state else None)
        except UserError:
            if self.folder:  # what is there stays the run's that made it
                self.folder.put_back()
            raise
        if first == self.total_steps and not has_state:
            self.say(f"skipped: the encoder in {self.out} has all {self.total_steps} steps")
            on_main(self.mark_finished)
            return
        on_main(lambda: write_text(self.out / CONFIG, dump_config(self.recipe.to_dict())))
        with self.signal:
            try:
                if first == self.total_steps:  # the encoder may lack
                    on_main(partial(self.saving.last, self.step, self.notes()))
                self.steps(first)
            finally:
                self.saving.wait()
        self.say(f"finished: {self.out / ENCODER} has all {self.total_steps} steps")
        on_main(self.mark_finished)  # with the last look and drawing: a finished run is not gone on with

    def build(self, step: int | None) -> None:
        """Build model and optimizer; load the state after `step` steps, if it is not None."""
        model = build_model(self.recipe, self.given).to(self.ranks.device)
        if self.ranks.is_main:
            self.about_data["flops_per_image"] = count_flops(model, self.recipe, self.ranks.device)
        schedules = Schedules.of(self.recipe, self.order.steps_per_epoch)
        self.step = TrainingStep(
            model, self.recipe, schedules, self.ranks.device, lambda module: data_parallel(module, self.ranks)
        )
        if step is None:
            return
        state = self.saving.load(step, self.ranks.device)
        try:
            self.step.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError) as error:  # what a permitted change of the recipe leads to
            if is_out_of_memory(error):
                raise
            self.refuse(
                f"the state after step {step} in {self.saving.states.folder} is of another model than the recipe's "
                f"({' '.join(str(error).split())[:200]}). Give --allow-config-change no key that changes the model, or start over "
                "with --resume never."
            )
        self.unreadable, self.skipped = set(state["unreadable"]), state["skipped"]
        self.recent.extend(state["recent"])
        self.say(f"resuming {self.out} after step {step} of {self.total_steps}")

    def steps(self, first: int) -> None:
        """Take the steps from `first` to the last, if any are left, and look and draw on the way; see `run`."""
        training, runtime = self.recipe.training, self.recipe.runtime
        if self.skipped > runtime.max_skipped_steps:  # the limit was lowered since
            self.refuse(
                f"{self.skipped:.0f} steps of {self.out} had non-finite gradients already, more than "
                f"runtime.max_skipped_steps {runtime.max_skipped_steps} permits. Raise it, or start over with --resume never."
            )
        per_epoch = self.order.steps_per_epoch
        journal = None
        if self.ranks.is_main:
            journal = Journal(
                self.out,
                first_step=first,
                total_steps=self.total_steps,
                steps_per_epoch=per_epoch,
                batch_size=training.batch_size,
                terms=self.step.model.terms,
                mirror=runtime.wandb,
            )
        with closing(journal) if journal else nullcontext():
            if journal and self.probe:
                self.probe.begin(self.step.model.encoder, journal, first)
            if journal and (training.epochs >= runtime.pictures_every if first == 0 else first % per_epoch == 0):
                self.draw(journal, first)  # what the later ones are compared with, or what a run ended before
            feed = Feed(self.paths, self.recipe, self.ranks, first)
            saved = time.monotonic()
            for step, (samples, batches) in enumerate(feed, first):
                # A network of timm's draws from the global generator: seeded by step and rank, it needs no saved state.
                torch.manual_seed(hash((training.seed, step, self.ranks.rank)) % 2**63)
                self.note_unreadable(samples)
                self.recent.append({"step": step, **self.step(batches, step)})
                done = step + 1
                if step % runtime.log_every == 0 or done == self.total_steps:
                    self.report(step, journal, feed)
                if done == self.total_steps:
                    on_main(partial(self.saving.last, self.step, self.notes()))
                elif any_rank(self.signal.requested):
                    kept = on_main(partial(self.saving.stop, done, self.step, self.notes()))
                    words = f"stopped by a signal after step {done}; run the same command again to continue"
                    raise Preempted(f"{words} after step {kept}" if self.ranks.is_main else "")
                elif self.due(done, time.monotonic() - saved):
                    if self.ranks.is_main:
                        self.saving.save(done, self.step, self.notes())
                    saved = time.monotonic()
                if self.probe:
                    self.probe(done)
                if journal and done % per_epoch == 0:
                    self.draw(journal, done)

    def due(self, done: int, seconds: float) -> bool:
        """Tell whether to save after `done` steps, so many seconds after the last state."""
        runtime = self.recipe.runtime
        by_steps = runtime.checkpoint_every and done % runtime.checkpoint_every == 0
        return bool(by_steps) or seconds > 60 * runtime.checkpoint_minutes

    def note_unreadable(self, samples: list[dict[str, Any]]) -> None:
        """Name images that any rank could not read, once; stop, all ranks together, where they exceed the permitted share."""
        new = {i for sample in samples for i in sample["unreadable"]} - self.unreadable
        none_left = any(unusable(sample) for sample in samples)
        if any_rank(bool(new) or none_left):
            found = gather([(new, none_left)])
            new = set().union(*(indices for indices, _ in found)) - self.unreadable
            none_left = any(flag for _, flag in found)
        self.unreadable |= new
        for index in sorted(new):
            self.say(f"warning: unreadable image skipped: {self.paths[index]}", error=True)
        limit = self.recipe.runtime.max_unreadable
        if none_left or len(self.unreadable) > limit * len(self.paths):
            names = shorten([self.paths[i] for i in sorted(self.unreadable)], 5)
            self.refuse(
                f"{len(self.unreadable)} of {len(self.paths)} images cannot be read, more than the permitted share of "
                f"{limit:.2%} (runtime.max_unreadable): {names}. Restore or delete them, or raise the limit."
            )

    def report(self, step: int, journal: Journal | None, feed: Feed) -> None:
        """Fetch the scalars since the last report, write them down, and stop on too many non-finite steps."""
        recent = fetch(self.recent)
        self.recent.clear()
        bad = [int(row["step"]) for row in recent if row["skipped"]]
        if any_rank(bool(bad)):  # with a loss scale, a rank knows of its own loss only
            bad = sorted(set(gather(bad)))
        self.skipped += len(bad)
        for at in bad:
            self.say(f"warning: step {at} had a non-finite gradient and was skipped", error=True)
        if bad and self.skipped > self.recipe.runtime.max_skipped_steps:
            self.give_up(bad[-1])
        if len(bad) == len(recent) and step + 1 == self.total_steps:
            self.say(
                f"warning: the run ends in {len(bad)} non-finite steps: it has diverged, and its encoder is hardly of use. Lower "
                "optimizer.lr, or set runtime.max_skipped_steps=0 to stop at the first of them",
                error=True,
            )
        good = [row for row in recent if row["step"] not in bad] or recent
        names = dict.fromkeys(key for row in recent for key in row if key not in ("step", "skipped"))
        scalars = {}
        for key in names:  # some are in a few rows only
            found = [row[key] for row in good if key in row] or [row[key] for row in recent if key in row]
            scalars[key] = sum(found) / len(found)
        scalars |= self.step.schedules.rates(step) | self.step.schedules.values(step)
        if complaint := self.step.model.complaint(scalars):
            self.say(f"warning: {complaint}", error=True)
        if journal:
            notes = {"skipped_steps": int(self.skipped), "unreadable_images": len(self.unreadable)}
            memory = peak_device_memory(self.ranks.device)
            if memory is not None:
                notes["device_memory_mib"] = round(memory)
            journal.report(step, scalars, notes, waited=feed.waited)
            feed.waited = 0.0

    def give_up(self, step: int) -> None:
        """Save every rank's inputs of a non-finite step (they follow from seed and step) and raise UserError."""
        path, failure = self.out / f"nonfinite_step_{step}_rank_{self.ranks.rank}.pt", []
        try:
            order = Order(len(self.paths), self.recipe, self.ranks.rank, self.ranks.world, step)
            write_tensors(path, next(load(self.paths, self.recipe, self.ranks, order)))
        except UserError as error:
            failure = [str(error)]
        failed = gather(failure)
        where = path if self.ranks.world == 1 else path.with_name(f"nonfinite_step_{step}_rank_*.pt")
        inputs = f"Its inputs are not kept ({failed[0]})" if failed else f"Its inputs are in {where}"
        self.refuse(
            f"{self.skipped:.0f} steps had non-finite gradients (runtime.max_skipped_steps "
            f"{self.recipe.runtime.max_skipped_steps}), the last at step {step}. {inputs}; the last "
            f"good state is in {self.saving.states.folder}. Lower optimizer.lr, or use training.precision bf16 or fp32."
        )

    def refuse(self, text: str) -> NoReturn:
        """Raise UserError, on all ranks together; the main one says it."""
        raise UserError(text) if self.ranks.is_main else SaidElsewhere

    def mark_finished(self) -> None:
        """Write down that nothing is left to do."""
        if self.folder:
            self.folder.finish()

    def notes(self) -> dict[str, Any]:
        """Return what has to be known besides model and optimizer to go on."""
        return {"unreadable": sorted(self.unreadable), "skipped": self.skipped, "recent": fetch(self.recent)}

    def draw(self, journal: Journal, done: int) -> None:
        """Draw the encoder's features, every `pictures_every` epochs and before the first."""
        every = self.recipe.runtime.pictures_every
        if every and done // self.order.steps_per_epoch % every == 0:
            readable = [p for i, p in enumerate(self.paths) if i not in self.unreadable]
            paths = readable[:: max(len(readable) // 4, 1)][:4]
            encoder = self.step.model.encoder
            pictures = draw_pictures(encoder, paths, self.recipe.views.global_size, self.ranks.device)
            if pictures:
                journal.draw(done, pictures)

    def say(self, text: str, error: bool = False) -> None:
        """Print on the main rank."""
        if self.ranks.is_main:
            print(text, file=sys.stderr if error else sys.stdout, flush=True)


def fetch(rows: Iterable[dict[str, Any]]) -> list[dict[str, float]]:
    """Return rows of scalars as numbers, those on the device by one wait for all of them."""
    rows = list(rows)
    waiting = [v for row in rows for v in row.values() if isinstance(v, torch.Tensor)]
    fetched = iter(torch.stack(waiting).tolist() if waiting else [])
    return [{k: next(fetched) if isinstance(v, torch.Tensor) else float(v) for k, v in row.items()} for row in rows]
