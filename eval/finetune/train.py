"""Train a task's model with mmengine's Runner; interrupted runs go on where they stopped."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from eval.finetune.config import backbone_config, check_encoder, training_config
from eval.finetune.hooks import FingerprintHook, PreemptionHook, ProgressHook
from eval.finetune.recipe import FinetuneRecipe, identity_of
from eval.finetune.runner import QuietRunner, attention_of_any_size, open_library, quiet
from eval.finetune.sampling import EndlessAspectSampler, SeededDataset
from eval.finetune.states import average_of, unwrapped
from eval.finetune.task import Task
from eval.finetune.weights import write_model, write_seconds
from flsl.architecture import EncoderConfig
from flsl.checkpoint import LoadedEncoder, fingerprint, load_encoder, load_strictly
from flsl.runtime.config import dump_config
from flsl.runtime.distributed import is_main, share, start_ranks, wait, world_size
from flsl.runtime.files import write_text
from flsl.runtime.preemption import StopSignal, leave_signals_to_the_main_process

# Of a token and channel in a block, in mixed precision: 17 in half precision, 6 in float32, by counting.
BYTES_KEPT = 58


def train(
    task: Task,
    checkpoint: str,
    *,
    loaded: LoadedEncoder | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    hooks: Sequence[Hook] = (),
) -> Path:
    """Fine-tune the task's model on the encoder of `checkpoint`.

    Args:
        task: recipe and data. States and weights in its folder `out` are this training's (`eval.run.Run.claim`). The
            weights are written there at the end; `mmdet_config.py` (the resolved configuration, named after the library),
            `train/train.log` and resumable states in `train/` on the way.
        checkpoint: what `flsl.checkpoint.load_encoder` takes.
        loaded: what was loaded from it, if it was.
        seed: of weights, order and augmentation.
        device: where to train; the CPU if not given. Under torchrun every process calls this function.
        hooks: further mmengine hooks, such as one that measures.

    Returns:
        The path of the weights. Finished ones are returned at once.

    Raises:
        UserError: data that cannot be used; a recipe for another encoder; out of memory; a loss that is not finite.
        Preempted: a signal asked to stop; the state is saved.
    """
    started = time.perf_counter()
    device, out, recipe = device or torch.device("cpu"), task.out, task.recipe
    finished = task.weights
    loaded = loaded or load_encoder(checkpoint, seed=seed)
    check_encoder(recipe.model, loaded.encoder.config)
    identity: dict[str, Any] = {
        "recipe": {k: part for k, part in identity_of(recipe).items() if k not in ("protocol", "testing")},
        "encoder": loaded.fingerprint,
        "annotations": task.trained_on,
        "seed": seed,
    }
    if finished.is_file():
        print(f"training is finished already: {finished}", flush=True)
        return finished
    start_ranks(str(device))
    with attention_of_any_size(device), quiet(out / "train" / "train.log") as console:
        runner, dataset = _runner(task, checkpoint, loaded, seed, device=device, console=console, started=started)
        shown = [ProgressHook(console)] if is_main() else []
        with StopSignal() as signal:
            proof = FingerprintHook(fingerprint(loaded.encoder), task.kind)
            for hook in (proof, *shown, PreemptionHook(signal), *hooks):
                runner.register_hook(hook)
            try:
                runner.train()
            finally:
                _end_workers(runner.train_dataloader)
    if is_main():
        metadata = {
            "training": identity,
            "encoder": loaded.encoder.config.to_dict(),
            "categories": dataset.categories,
            "images": dataset.listed,
            "iterations": runner.iter,
            "warnings": loaded.warnings + dataset.warnings,
        }
        average: Any = average_of(runner)  # where the recipe averages
        write_seconds(out, runner.seconds)  # beside the weights, which are the same however often it stopped
        weights = (average.module if average else unwrapped(runner)).state_dict()
        write_model(finished, task.kind, weights, metadata)
    wait()
    return finished


def _runner(
    task: Task, checkpoint: str, loaded: LoadedEncoder, seed: int, *, device: torch.device, **told: Any
) -> tuple[QuietRunner, SeededDataset]:
    """Return what trains the model, as configured in a file beside it, and the data; `told` is the rest of `QuietRunner`'s."""
    recipe, encoder, out = task.recipe, loaded.encoder, task.out
    build_data, build_model = open_library(task)
    data = task.dataset("train")
    dataset = build_data(data)
    task.check_categories(dataset.categories)
    backbone = backbone_config(
        recipe.model,
        encoder.config,
        checkpoint=str(checkpoint),
        seed=seed,
        checkpoint_activations=recomputes(task, encoder.config, device),
        sync_batch_norm=world_size() > 1 and device.type == "cuda",
    )
    model = task.model(backbone, len(dataset.categories))
    config = training_config(recipe, task.package, len(dataset), device)
    config |= {"randomness": {"seed": seed, "diff_rank_seed": True}, "work_dir": str(out / "train")}
    if is_main():
        write_text(out / f"{task.package}_config.py", _whole_config(task, config, model, data))
    wait()
    loader = _loader(dataset, recipe, seed, device)
    torch.manual_seed(seed)  # the Runner does so after the model is built
    # The configuration on disk names the checkpoint; what it holds is in memory already.
    built = build_model(ConfigDict(model | {"backbone": model["backbone"] | {"init_cfg": None}}))
    load_strictly(built.backbone.encoder, encoder.state_dict(), checkpoint)
    name = f"{task.kind}-{out.resolve()}".replace("/", "-")
    return QuietRunner(
        model=built, train_dataloader=loader, experiment_name=name, device=device, **told, **config
    ), dataset


def recomputes(task: Task, encoder: EncoderConfig, device: torch.device) -> bool:
    """Tell whether the encoder's activations are recomputed in the backward pass: as the recipe says, or where it leaves that
    open, unless they fit into half of the GPU's memory."""
    wanted = task.recipe.runtime.checkpoint_activations
    if wanted is not None:
        return wanted
    if device.type != "cuda":
        return True
    tokens = share(task.recipe.training.batch) * task.pixels / encoder.patch_size**2
    needed = tokens * encoder.depth * encoder.embed_dim * BYTES_KEPT
    return needed > torch.cuda.get_device_properties(device).total_memory / 2


def _whole_config(task: Task, config: dict, model: dict, data: dict) -> str:
    """Return the library's configuration of what is trained, as a file of its own."""
    batch = share(task.recipe.training.batch)
    loader = {"batch_size": batch, "dataset": data, "sampler": {"type": "EndlessAspectSampler", "batch": batch}}
    imports = {"imports": [task.components]}
    return dump_config({"custom_imports": imports, "model": model, "train_dataloader": loader} | config)


def _loader(dataset: SeededDataset, recipe: FinetuneRecipe, seed: int, device: torch.device) -> DataLoader:
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
        worker_init_fn=leave_signals_to_the_main_process,
    )


def _end_workers(loader: DataLoader) -> None:
    """End the loading processes with the training, however it ended: the loader itself keeps them until it is gone."""
    iterator = getattr(loader, "_iterator", None)
    if iterator is not None:
        iterator._shutdown_workers()
