"""What a training run keeps on disk: states to go on from, written beside the training, and the encoder."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from flsl.checkpoint import load_encoder, save_encoder
from flsl.encoder import Encoder
from flsl.runtime.errors import UserError
from flsl.runtime.run_folder import RunFolder
from pretrain.recipe import Recipe
from pretrain.state import Beside, StateFolder, on_host
from pretrain.step import TrainingStep

ENCODER, STATES = "encoder.safetensors", "states"


class Saving:
    """The states and the encoder in a run's folder; all but `load` is for the main rank."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        steps_per_epoch: int,
        total_steps: int,
        folder: RunFolder | None,
        about_data: dict[str, Any],
        say: Callable[..., None],
    ):
        """Nothing is read or written yet.

        Args:
            recipe: what is trained.
            out: the run's folder.
            steps_per_epoch: of all ranks together.
            total_steps: of the whole run.
            folder: `out`, owned; None on other ranks than the main one.
            about_data: what the encoder's metadata say of the images; may grow until the first state is written.
            say: prints a line, an error with `error=True`.
        """
        self.recipe, self.out, self.folder, self.about_data, self.say = recipe, out, folder, about_data, say
        self.steps_per_epoch, self.total_steps = steps_per_epoch, total_steps
        self.states = StateFolder(out / STATES, recipe.runtime.keep)
        self._beside = Beside()

    def find(self) -> tuple[int, bool]:
        """Return how many steps are done, and whether there is a state of them.

        Raises:
            UserError: an encoder of some steps would be overwritten, since no state is there to go on from; or there are
                more steps than are asked for.
        """
        start_over = "Choose another --out, or start over with --resume never."
        found = self.states.newest()
        if found:
            done, complaints = found
            for complaint in complaints:
                self.say(f"warning: {complaint}", error=True)
        elif (self.out / ENCODER).exists():
            done = load_encoder(self.out / ENCODER).pretraining.get("steps", 0)
            if done < self.total_steps:
                raise UserError(
                    f"{self.out} holds an encoder of {done} of {self.total_steps} steps, but {self.states.folder} has no "
                    f"state to go on from. {start_over}"
                )
        else:
            done = 0
        if done > self.total_steps:
            raise UserError(f"{self.out} holds {done} steps, more than the {self.total_steps} asked for. {start_over}")
        return done, bool(found)

    def load(self, step: int, device: torch.device) -> dict[str, Any]:
        """Return the state after `step` steps, the loop's notes in it, on `device`; on any rank."""
        return self.states.load(step, device)

    def save(self, done: int, step: TrainingStep, notes: dict[str, Any]) -> None:
        """Write the state after `done` steps and the encoder beside the training; a failure is said aloud.

        Args:
            done: steps.
            step: model and optimizer.
            notes: what the loop has to know besides to go on.
        """
        state, encoder = self._copies(step, notes)
        self._beside.start(partial(self._write, done, state, encoder, step.model.title))

    def wait(self) -> None:
        """Wait until what is written beside the training is on disk."""
        self._beside.wait()

    def stop(self, done: int, step: TrainingStep, notes: dict[str, Any]) -> int:
        """Save the state after `done` steps; return how many steps the newest one on disk has.

        Raises:
            UserError: there is none.
        """
        failed = self._write(done, *self._copies(step, notes), step.model.title)
        kept = self.states.steps()
        if not kept:
            raise UserError(
                f"stopped by a signal after step {done}, and there is no state to go on from: {' '.join(failed)} "
                "Make room, and run the same command again."
            )
        return kept[0]

    def last(self, step: TrainingStep, notes: dict[str, Any]) -> None:
        """Save the last state and encoder.

        Raises:
            UserError: something could not be written.
        """
        failed = self._write(self.total_steps, *self._copies(step, notes), step.model.title)
        if failed:
            raise UserError(
                f"all {self.total_steps} steps are done, but not all is written: {' '.join(failed)} Make room, and run the "
                "same command again: it continues from what is on disk."
            )

    def _copies(self, step: TrainingStep, notes: dict[str, Any]) -> tuple[dict[str, Any], Encoder]:
        """Copy to the host what is written now: what is needed to go on, and the encoder. What was to be written before
        is, by then."""
        self._beside.wait()
        return on_host({**step.state_dict(), **notes}), copy.deepcopy(step.model.encoder).cpu()

    def _write(self, done: int, state: dict[str, Any], encoder: Encoder, method: str) -> list[str]:
        """Write a state and an encoder of `done` steps; return what failed, which is said aloud.

        The state comes first, since an encoder without one cannot be gone on with; at the end the encoder does: on a disk
        that is nearly full it is what the run was for.
        """
        failed = []
        writers = [partial(self._write_state, done, state), partial(self._write_encoder, done, encoder, method)]
        for write in reversed(writers) if done == self.total_steps else writers:
            try:
                write()
            except (UserError, OSError) as error:
                failed.append(str(error))
                self.say(f"ERROR: after step {done}: {error}", error=True)
        return failed

    def _write_state(self, done: int, state: dict[str, Any]) -> None:
        """Write what is needed to go on; what the run replaces is deleted then."""
        self.states.save(done, state)
        if self.folder:
            self.folder.forget_previous()

    def _write_encoder(self, done: int, encoder: Encoder, method: str) -> None:
        """Write the encoder, and what it was made from."""
        save_encoder(
            encoder,
            self.out / ENCODER,
            method=method,
            name=self.recipe.name,
            pretraining={
                **self.about_data,
                "epochs": done / self.steps_per_epoch,
                "steps": done,
                "batch_size": self.recipe.training.batch_size,
                "recipe": self.recipe.to_dict(),
            },
        )
