"""Train a detector on an encoder with mmdet's models and mmengine's Runner; interrupted runs go on where they stopped."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook, Hook
from torch.utils.data import DataLoader

from eval.detector import components  # noqa: F401  (registers with mmdet)
from eval.detector.annotations import Annotations, require_same_categories
from eval.detector.config import check_encoder, dataset_config, detector_config, training_config
from eval.detector.dataset import CocoFile, EndlessAspectSampler
from eval.detector.hooks import FingerprintHook, FiniteLossHook, PreemptionHook, ProgressHook
from eval.detector.recipe import Recipe
from eval.detector.runner import QuietRunner, quiet
from eval.detector.weights import write_detector
from flsl.checkpoint import load_encoder
from flsl.runtime.config import dump_config
from flsl.runtime.distributed import is_main, share, start_ranks, wait, world_size
from flsl.runtime.files import write_text
from flsl.runtime.preemption import StopSignal, leave_signals_to_the_main_process


def train_detector(
    recipe: Recipe,
    checkpoint: str,
    *,
    annotations: Path,
    images: Path,
    out: Path,
    seed: int = 0,
    device: torch.device | None = None,
    evaluated: Annotations | None = None,
    hooks: Sequence[Hook] = (),
) -> Path:
    """Fine-tune the recipe's detector on the encoder of `checkpoint`.

    Args:
        recipe: see `eval.detector.recipe`.
        checkpoint: what `flsl.checkpoint.load_encoder` takes.
        annotations: COCO instances JSON of the training images.
        images: their folder.
        out: the run's folder; states and a detector in it are this training's (`eval.run.Run.claim`). `detector.safetensors` is written there at the end; `mmdet_config.py` (the resolved
            configuration), `train/train.log` and resumable states in `train/` on the way.
        seed: of weights, order and augmentation.
        device: where to train; the CPU if not given. Under torchrun every process calls this function.
        evaluated: annotations that the detector will be evaluated on, to notice before training that they do not fit.
        hooks: further mmengine hooks, such as one that measures.

    Returns:
        The path of `detector.safetensors`. A finished one is returned at once.

    Raises:
        UserError: see `read_annotations`; a recipe for another encoder; out of memory; a loss that is not finite.
        Preempted: a signal asked to stop; the state is saved.
    """
    device, out = device or torch.device("cpu"), Path(out)
    finished = out / "detector.safetensors"
    loaded = load_encoder(checkpoint, seed=seed)
    check_encoder(recipe.model, loaded.encoder.config)
    identity: dict[str, Any] = {
        "recipe": {name: asdict(getattr(recipe, name)) for name in ("model", "images", "training")},
        "encoder": loaded.fingerprint,
        "annotations": Path(annotations).name,
        "seed": seed,
    }
    if finished.is_file():
        print(f"training is finished already: {finished}", flush=True)
        return finished
    start_ranks(str(device))
    with quiet(out / "train" / "train.log") as console:
        data = dataset_config(recipe, annotations, images)
        dataset = DATASETS.build(data)
        if evaluated is not None:
            require_same_categories(dataset.categories, evaluated.categories, evaluated.path)
        model = detector_config(
            recipe.model,
            recipe.testing,
            loaded.encoder.config,
            len(dataset.categories),
            checkpoint=str(checkpoint),
            seed=seed,
            checkpoint_activations=recipe.runtime.checkpoint_activations,
            sync_batch_norm=world_size() > 1 and device.type == "cuda",
        )
        config = training_config(recipe, len(dataset), device)
        config |= {"randomness": {"seed": seed, "diff_rank_seed": True}, "work_dir": str(out / "train")}
        if is_main():
            _start(out, recipe.training.batch, config, model, data)
        wait()
        loader = _loader(dataset, recipe, seed, device)
        torch.manual_seed(seed)  # the Runner does so after the model is built
        runner = QuietRunner(
            model=MODELS.build(ConfigDict(model)),
            train_dataloader=loader,
            experiment_name=f"detector-{out.resolve()}".replace("/", "-"),
            device=device,
            console=console,
            **config,
        )
        shown = [ProgressHook(console)] if is_main() else []
        with StopSignal() as signal:
            for hook in (
                FiniteLossHook(),
                FingerprintHook(identity["encoder"]),
                *shown,
                PreemptionHook(signal),
                *hooks,
            ):
                runner.register_hook(hook)
            try:
                runner.train()
            finally:
                _end_workers(loader)
    if is_main():
        metadata = {
            "training": identity,
            "encoder": loaded.encoder.config.to_dict(),
            "categories": dataset.categories,
            "images": dataset.listed,
            "iterations": runner.iter,
            "warnings": loaded.warnings + dataset.warnings,
        }
        write_detector(finished, _final_weights(runner), metadata)
    wait()
    return finished


def _start(out: Path, batch: int, config: dict, model: dict, data: dict) -> None:
    """Write mmdet's configuration of what is trained."""
    batch = share(batch)
    loader = {"batch_size": batch, "dataset": data, "sampler": {"type": "EndlessAspectSampler", "batch": batch}}
    whole = {
        "custom_imports": {"imports": ["eval.detector.components"]},
        "model": model,
        "train_dataloader": loader,
    } | config
    write_text(out / "mmdet_config.py", dump_config(whole))


def _loader(dataset: CocoFile, recipe: Recipe, seed: int, device: torch.device) -> DataLoader:
    """Return the endless, resumable loader of training batches."""
    batch, workers = share(recipe.training.batch), recipe.runtime.workers
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=EndlessAspectSampler(dataset, batch, seed),
        collate_fn=pseudo_collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        worker_init_fn=_start_worker,
    )


def _end_workers(loader: DataLoader) -> None:
    """End the loading processes with the training, however it ended: the loader itself keeps them until it is gone."""
    iterator = getattr(loader, "_iterator", None)
    if iterator is not None:
        iterator._shutdown_workers()


def _start_worker(worker: int) -> None:
    leave_signals_to_the_main_process()


def _final_weights(runner: QuietRunner) -> dict[str, torch.Tensor]:
    """Return the weights to evaluate: the averaged ones where the recipe averages."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            averaged: Any = hook.ema_model
            return averaged.module.state_dict()
    trained: Any = runner.model
    return getattr(trained, "module", trained).state_dict()
