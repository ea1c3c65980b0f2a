"""Resumable states of a training, `train/iter_N.pth`: tensors and plain values, read without running anything.

A state holds no random numbers: every iteration and every image starts its own, so a resumed training is, on a CPU and
by as many threads, the uninterrupted one to the bit.
"""

import math
import re
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from eval.finetune.sampling import seed_by
from flsl.runtime.distributed import on_main, this_rank
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_tensors
from flsl.weights import read_weights

KEEP = 2  # should the newer one be damaged
NAME = re.compile(r"iter_([0-9]{1,15})\.pth")
KEYS = {"iteration", "model", "optimizer", "schedulers", "average"}  # and, but in the first ones, "seconds"


@HOOKS.register_module()
class StateHook(Hook):
    """Saves a state every so many iterations and after the last; starts each iteration's random numbers."""

    priority = "VERY_LOW"  # after the average of the weights and the schedulers

    def __init__(self, interval: int):
        """Save every `interval` iterations."""
        self.interval = interval

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed what the model draws; the 1 tells these numbers from the images'."""
        seed_by(runner.seed, runner.iter, this_rank(), 1)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save, if it is time; every process waits for it.

        Raises:
            UserError: a loss since the last fetch is not finite, or the disk refuses. After the last iteration that is only logged: the weights themselves come next.
        """
        done = runner.iter + 1
        if done % self.interval and done < runner.max_iters:
            return
        runner.train_loop.fetch()
        try:
            on_main(lambda: save_state(runner, done))
        except UserError as error:
            if done < runner.max_iters:
                raise
            runner.logger.warning(str(error))


def save_state(runner: Runner, iteration: int) -> None:
    """Write the state after so many iterations, and then delete all but it and the one before.

    Raises:
        UserError: the disk refuses; earlier states are intact.
    """
    folder = Path(runner.work_dir)
    average = average_of(runner)
    state = {
        "iteration": iteration,
        "model": dict(unwrapped(runner).state_dict()),
        "optimizer": runner.optim_wrapper.state_dict(),
        "schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers],
        "average": average and dict(average.state_dict()),
        "seconds": runner.seconds,
    }
    write_tensors(folder / f"iter_{iteration}.pth", state)
    there = _saved(folder)
    kept = [number for number in there if number <= iteration][:KEEP]
    for number in set(there).difference(kept):  # newer ones too: they were damaged if this training passed by them
        (folder / f"iter_{number}.pth").unlink(missing_ok=True)


def resume(runner: Runner) -> list[str]:
    """Bring a training to its newest whole state, the same in every process; returns what was wrong with newer ones.

    Only files `iter_N.pth` of the run's own folder are looked at, wherever that folder is now.

    Raises:
        UserError: there are states, but none that can be used; nothing in them was executed.
    """
    folder, state = Path(runner.work_dir), None

    def choose() -> tuple[int | None, list[str]]:
        nonlocal state
        complaints: list[str] = []
        for number in _saved(folder):
            try:
                state = _read(folder, number, runner.max_iters)
                return number, complaints
            except (UserError, OSError) as error:
                complaints.append(str(error))
        if complaints:
            raise UserError(
                f"no state in {folder} can be used: {' '.join(complaints)} Start over with --when-exists overwrite."
            )
        return None, complaints

    number, complaints = on_main(choose)
    if number is None:
        return complaints
    state = state or _read(folder, number, runner.max_iters)
    average = average_of(runner)
    try:
        unwrapped(runner).load_state_dict(state["model"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        for scheduler, values in zip(runner.param_schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(values)
        if average is not None:
            average.load_state_dict(state["average"])
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder}/iter_{number}.pth is the state of another training ({' '.join(str(error).split())[:200]}). "
            "Choose another --out, or start over with --when-exists overwrite."
        ) from error
    runner.train_loop._iter = number
    runner.started -= state["seconds"]
    return complaints


def _read(folder: Path, number: int, most: int) -> dict[str, Any]:
    path = folder / f"iter_{number}.pth"
    state = read_weights(path).tree
    seconds = state.setdefault("seconds", 0.0)
    sound = state.keys() - {"seconds"} == KEYS and isinstance(seconds, float) and 0 <= seconds < math.inf
    if not sound or not isinstance(state["iteration"], int) or not state["iteration"] == number <= most:
        raise UserError(f"{path} is no state of this training.")
    return state


def _saved(folder: Path) -> list[int]:
    """Return the iterations of all states, newest first."""
    names = (NAME.fullmatch(path.name) for path in folder.glob("iter_*.pth") if path.is_file())
    return sorted((int(name[1]) for name in names if name), reverse=True)


def unwrapped(runner: Runner) -> torch.nn.Module:
    """Return the model itself, in data parallelism too."""
    return getattr(runner.model, "module", runner.model)


def average_of(runner: Runner) -> torch.nn.Module | None:
    """Return the averaged copy of the weights, where the recipe asks for one."""
    return next((hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)), None)
