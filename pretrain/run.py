"""One pretraining run: what its result depends on, what its folder permits, and the ranks that carry it out."""

import importlib.util
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import torch

from flsl.runtime.apart import require_apart
from flsl.runtime.distributed import Ranks, on_main, start_ranks, stop_ranks
from flsl.runtime.errors import UserError, explained_memory, unknown_key
from flsl.runtime.files import digest_of_files
from flsl.runtime.precision import choose_dtype, repeatable
from flsl.runtime.run_folder import PREVIOUS, RunFolder, State
from pretrain.dataset import check_batch, describe, find_images
from pretrain.loop import CONFIG, Loop
from pretrain.method import find_method
from pretrain.probe import Probe
from pretrain.recipe import Recipe, read_recipe
from pretrain.saving import ENCODER, STATES

NOTES = ("log.jsonl", "tensorboard", CONFIG, "pictures")


def run(
    recipe: Recipe | str | Path,
    data: Path,
    out: Path,
    *,
    overrides: Iterable[str] = (),
    device: str = "auto",
    resume: Literal["auto", "never"] = "auto",
    allowed: Iterable[str] = (),
    probe_data: Path | None = None,
) -> Path:
    """Carry out a pretraining on this rank; see `pretrain.train`. What is cheap to check is checked first."""
    chosen: Recipe = read_recipe(recipe, overrides)
    allowed = list(allowed)
    check_allowed(allowed, chosen)
    if chosen.runtime.wandb and importlib.util.find_spec("wandb") is None:
        raise UserError("runtime.wandb needs the package wandb: pip install wandb, or leave the key out")
    if probe_data is not None and not chosen.probe.on:
        raise UserError("--probe-data needs a probe: say how often, e.g. --set probe.epochs=1")
    require_apart(out, {"the files of --data": data, "the files of --probe-data": probe_data})
    paths = find_images(data)
    try:
        with repeatable(chosen.training.deterministic):
            _run(chosen, paths, data, out, probe_data, device=device, resume=resume, allowed=allowed)
    finally:
        stop_ranks()
    return out / ENCODER


def _run(
    recipe: Recipe,
    paths: list[Path],
    data: Path,
    out: Path,
    probe_data: Path | None,
    *,
    device: str,
    resume: Literal["auto", "never"],
    allowed: list[str],
) -> None:
    """Carry out the pretraining of a recipe on some images; see `run`."""
    ranks = start_ranks(device)
    with explained_memory(lambda said: out_of_memory(recipe, ranks, said)), ExitStack() as owned:
        check_batch(len(paths), recipe, ranks.world)
        check_device(recipe, ranks.device)
        given = find_method(recipe).read(recipe)
        total = recipe.training.epochs * (len(paths) // recipe.training.batch_size)
        folder: RunFolder | None = None  # the main rank's alone, as the probe
        probe: Probe | None = None

        def begin() -> State:
            nonlocal folder, probe
            if recipe.probe.on:
                probe = Probe(recipe, paths, probe_data, ranks.device)
            folder = RunFolder(
                out,
                identity(recipe, data, paths, given),
                target={"steps": total},
                results=[ENCODER],
                outputs=[STATES],
                notes=NOTES,
                inputs={"--data": data, "--probe-data": probe_data} | find_method(recipe).inputs(recipe),
                when_exists="overwrite" if resume == "never" else "skip",
                allowed=allowed,
                start_over="--resume never",
            )
            state = owned.enter_context(folder).begin()
            if state == "fresh" and (out / PREVIOUS).exists():
                print(f"starting over; the earlier run is kept in {out / PREVIOUS} until a new state is saved")
            if state == "resume":
                folder.reopen()  # a longer run replaces the encoder on its way
            return state

        if on_main(begin) != "done":
            about = describe(paths, data)
            loop = Loop(recipe, paths, out, ranks=ranks, folder=folder, about_data=about, given=given, probe=probe)
            loop.run()
        elif ranks.is_main:
            print(f"skipped: {out} already holds all {total} steps", flush=True)


def out_of_memory(recipe: Recipe, ranks: Ranks, said: str) -> str:
    """Say what ran out, and what to lower, what changes no result first."""
    training, runtime = recipe.training, recipe.runtime
    micro = training.batch_size // (ranks.world * training.accumulate)
    ways = []
    if micro > 1 and micro % 2 == 0:
        ways.append(
            f"--set training.accumulate={training.accumulate * 2} (the same step in smaller parts, a quarter slower)"
        )
    if not runtime.activation_checkpointing:
        ways.append("--set runtime.activation_checkpointing=True (the same step, a third slower)")
    ways.append(f"a smaller training.batch_size than {training.batch_size}")
    if ranks.device.type == "cpu":
        ways.append("a smaller runtime.workers")
    return f"out of memory on {ranks.device} with {micro} images at a time ({said}). Try {', or '.join(ways)}."


def check_device(recipe: Recipe, device: torch.device) -> None:
    """Raise UserError where a device cannot do what a recipe asks for."""
    choose_dtype(recipe.training.precision, device, float16_on_cpu=True)
    learned = recipe.encoder.timm_model is not None or recipe.encoder.position_embedding != "sincos"
    if device.type == "cuda" and recipe.training.deterministic and learned:
        raise UserError(
            "training.deterministic repeats no run with learned positions on a GPU: the gradient of their resizing adds "
            "up in any order. Use encoder.position_embedding 'sincos', or leave training.deterministic out."
        )


def identity(recipe: Recipe, data: Path, paths: list[Path], given: Any) -> dict[str, Any]:
    """Return what the encoder depends on: the recipe without its runtime and probe keys, the images, and what the method read
    (not where that lies)."""
    chosen, method = recipe.to_dict(), find_method(recipe)
    del chosen["runtime"], chosen["probe"]
    method.identify(chosen, given)
    if not chosen["training"]["deterministic"]:  # runs from before there was a choice go on
        del chosen["training"]["deterministic"]
    digest = digest_of_files(data, paths, contents=False)
    return {**chosen, "method": method.title, "data": {"images": len(paths), "digest": digest[:16]}}


def check_allowed(allowed: list[str], recipe: Recipe) -> None:
    """Raise UserError where a key that may change is none of a recipe's."""
    known = recipe.to_dict()
    keys = {*known, *(f"{name}.{key}" for name, values in known.items() if isinstance(values, dict) for key in values)}
    for key in allowed:
        if key not in keys:
            raise UserError(unknown_key(f"--allow-config-change {key}", key, keys))
