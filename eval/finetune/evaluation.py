"""The evaluation of a fine-tuned model: train it, predict, score; or score predictions that are there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.finetune.config import check_encoder
from eval.finetune.recipe import identity_of
from eval.finetune.task import Task
from eval.finetune.weights import read_metadata, weights_file
from eval.run import Predictor, Run, load, predictor
from flsl.checkpoint import save_encoder
from flsl.runtime.config import dump_config
from flsl.runtime.distributed import is_main, on_main, start_ranks, wait
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_text
from results.record import Record

if TYPE_CHECKING:
    from flsl.checkpoint import LoadedEncoder
    from flsl.encoder import Encoder


def evaluate(
    kind: type[Task], encoder: "str | Path | LoadedEncoder | Encoder", data: Path, run: Run, options: Any
) -> Record:
    """Train the recipe's model unless it is trained, save its predictions, score them; every rank calls this.

    Raises:
        UserError: data, recipe or checkpoint cannot be used, `run.out` holds another run, or training failed.
    """
    task = kind(data, run.out, options)
    for protocol in task.protocols:
        run.benchmark.declaration_of(protocol)  # an unknown one would be refused after the training
    task.check()
    start_ranks(str(run.choose_device()))
    loaded = load(encoder, seed=run.seed)
    check_encoder(task.recipe.model, loaded.encoder.config)
    weights, test_only = weights_file(task.kind, run.out), task.options.test_only
    train = "not read" if test_only else on_main(task.train_identity)
    made_of = {
        "encoder": loaded.fingerprint,
        "recipe": identity_of(task.recipe),
        "data": {"train": train, **on_main(task.test_identity)},
    }
    trained = () if test_only else (weights.name, "train", "config.py", f"{task.library}_config.py")
    allowed = ("recipe", "data") if test_only else ()
    outputs = (*task.tables, *task.made, *trained)
    with run.claim(made_of, outputs=outputs, allowed=allowed, rescore=test_only) as state:
        if state == "done":
            return run.kept()
        if is_main():
            with run.watch.phase("annotations"):
                task.prepare()
        wait()
        if test_only:
            _require_encoder(weights, task.kind, loaded)
        if is_main():
            recipe = identity_of(task.recipe) | {"runtime": vars(task.recipe.runtime)}
            write_text(run.out / "config.py", dump_config(recipe))
        if not test_only:
            _train(task, encoder, loaded, run)
        # Predictions come whole or not at all, after the weights: a resumed run need not make them again.
        found = on_main(lambda: task.saved(weights)) if state == "resume" and not test_only else None
        if found is None:
            found = _predict(task, weights, run)
        metadata = read_metadata(weights, task.kind)
        model = Predictor(loaded.model_fields(run.name), list(metadata["warnings"]))
        files = {task.found: task.predictions, "config": "config.py", task.kind: weights.name}
        return on_main(lambda: task.score(run, found, model, files, metadata))


def score(
    kind: type[Task],
    predictions: Path | None,
    encoder: "str | Path | LoadedEncoder | Encoder | None",
    data: Path,
    run: Run,
    options: Any,
) -> Record:
    """Score saved predictions, anyone's; those in `run.out` if no others are named.

    Raises:
        UserError: data or predictions are missing or malformed.
    """
    task = kind(data, run.out, options, scoring=True)
    path = predictions or run.out / task.predictions
    with run.watch.phase("reading"):
        found = task.read(path)
    model = predictor(run, encoder, path, task.files(path), task.kind)
    made_of = {"predictions": model.identity, "data": {"annotations": task.annotations_sha256()}}
    files = {task.found: path.name} if path.parent.resolve() == run.out.resolve() else {}
    with run.claim_scoring(path, made_of, outputs=task.tables):
        return task.score(run, found, model, files, None)


def _require_encoder(weights: Path, kind: str, loaded: "LoadedEncoder") -> None:
    trained_on = read_metadata(weights, kind)["training"]["encoder"]
    if trained_on != loaded.fingerprint:
        raise UserError(
            f"{weights} was trained on another encoder (fingerprint {trained_on[:12]}, not {loaded.fingerprint[:12]}). "
            "Name the checkpoint that it was trained on, or train in another --out."
        )


# Importing OpenMMLab takes seconds: not before what the command names is known to be there.


def _train(task: Task, encoder: "str | Path | LoadedEncoder | Encoder", loaded: "LoadedEncoder", run: Run) -> None:
    from eval.finetune.train import train

    if is_main() and not isinstance(encoder, (str, Path)):  # the model's configuration names a file
        path = run.out / "encoder.safetensors"
        encoder = save_encoder(loaded.encoder, path, method=loaded.method, name=loaded.name)
    checkpoint = str(on_main(lambda: encoder))
    with run.watch.phase("training"):
        train(task, checkpoint, seed=run.seed, device=run.device)


def _predict(task: Task, weights: Path, run: Run) -> Any:
    from eval.finetune.predict import predict

    with run.watch.phase(task.phase):
        found = predict(task, weights, device=run.device)
    wait()
    return found
