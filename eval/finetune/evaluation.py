"""The evaluation of a fine-tuned model: train it, predict, score; or score predictions that are there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.finetune.config import check_encoder
from eval.finetune.maker import MAKER, keep_own
from eval.finetune.recipe import identity_of
from eval.finetune.task import Task
from eval.finetune.weights import read_metadata, read_seconds
from eval.predictor import Predictor, claim_scoring, predictor
from eval.run import RECORD, AnyEncoder, Run, load
from flsl.checkpoint import save_encoder
from flsl.runtime.config import dump_config
from flsl.runtime.distributed import is_main, on_main, start_ranks, wait
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_text
from flsl.runtime.run_folder import RunFolder, as_json, differences
from results.record import Record
from results.store import read_record

if TYPE_CHECKING:
    from flsl.checkpoint import LoadedEncoder

ENCODER = "encoder.safetensors"  # in OUT: one that was in memory
TESTED = re.compile(r"\.(test|val)_")  # in a recipe's keys: read by testing alone


def evaluate(kind: type[Task], encoder: AnyEncoder, data: Path, run: Run, options: Any) -> Record:
    """Train the recipe's model unless it is trained, save its predictions, score them; every rank calls this.

    Raises:
        UserError: data, recipe or checkpoint cannot be used, `run.out` holds another run, or training failed.
    """
    task = kind(data, run.out, options)
    config = identity_of(task.recipe)  # what is wrong with it is said before data are looked at
    for protocol in task.protocols:
        run.benchmark.declaration_of(protocol)  # an unknown one would be refused after the training
    task.check()
    start_ranks(str(run.choose_device()))
    loaded = load(encoder, seed=run.seed)
    check_encoder(task.recipe.model, loaded.encoder.config)
    test_only = task.options.test_only
    trained_on = on_main(lambda: _take_over(task, loaded, config, run) if test_only else task.identity("train"))
    tested_on = on_main(lambda: task.identity("test"))
    made_of = {"encoder": loaded.fingerprint, "recipe": config, "data": {"train": trained_on, **tested_on}}
    written = () if isinstance(encoder, (str, Path)) else (ENCODER,)  # one in memory: the configuration names a file
    trained = (task.weights.name, "train", "config.py", f"{task.package}_config.py", *written)
    allowed = ("recipe", "data") if test_only and run.earlier is None else ()  # a result answers no other question
    outputs, needs = (*task.tables, *task.made, MAKER), (*trained, ENCODER) if test_only else ()
    outputs += () if test_only else trained
    with run.claim(made_of, outputs=outputs, needs=needs, allowed=allowed, rescore=test_only) as state:
        if state == "done":
            return run.kept()
        if is_main():
            with run.watch.phase("annotations"):
                task.prepare()
        wait()
        # Importing OpenMMLab takes seconds: not before what the command names is known to be there.
        from eval.finetune.predict import predict
        from eval.finetune.train import train

        if is_main():
            write_text(run.out / "config.py", dump_config(config | {"runtime": vars(task.recipe.runtime)}))
        if not test_only:
            checkpoint = str(on_main(lambda: _spec(encoder, loaded, run)))
            with run.watch.phase("training"):
                train(task, checkpoint, loaded=loaded, seed=run.seed, device=run.device)
        # Those of the same weights, recipe and data need not be made again.
        on_main(lambda: keep_own(task, config, tested_on))
        kept = test_only and (run.out / task.saves).exists()
        found = on_main(task.saved) if state == "resume" else None
        if found is None:
            with run.watch.phase(task.words[1]):
                found = predict(task, device=run.device)
            wait()
        # Where weights lie in a folder without a run, nobody says what they were trained on.
        run.learned_from = trained_on["annotations"] if isinstance(trained_on, dict) else None
        metadata = read_metadata(task.weights, task.kind)
        if run.earlier is None:  # whose record says what the training cost
            run.watch.reach("training", read_seconds(run.out))
            # A training's states tell of processes that were killed; nobody tells how long predictions took that a test keeps.
            run.watch.whole = not kept
        model = Predictor(loaded.model_fields(run.name), list(metadata["warnings"]))
        files = {task.words[2]: task.predictions, "config": "config.py", task.kind: task.weights.name}
        if (run.earlier is not None and "encoder" in run.earlier.files) if test_only else written:
            files["encoder"] = ENCODER
        return on_main(lambda: task.score(run, found, model, metadata, _about(model, config, files)))


def score(
    kind: type[Task], predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Any
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
    files = {}
    if path.parent.resolve() == run.out.resolve():
        files[task.words[2]] = path.name
    config = model.record.config if model.record is not None else task.outside_config()
    with claim_scoring(run, path, model, {"data": task.identity("test")}, outputs=task.tables):
        return task.score(run, found, model, None, _about(model, config, files))


def _about(model: Predictor, config: Mapping[str, Any], files: dict[str, str]) -> dict[str, Any]:
    return {"model": model.model, "config": config, "files": files, "warnings": list(model.warnings)}


def _take_over(task: Task, loaded: "LoadedEncoder", config: Mapping[str, Any], run: Run) -> Any:
    """Return the identity of the data that the weights in the folder were trained on, as far as it is known; what their run
    recorded stays in this one's record. Raises UserError: see `_require_training`."""
    run.seed = _require_training(task, loaded, config)["seed"]  # what the options say drew nothing
    if (run.out / RECORD).is_file():
        try:
            run.earlier = read_record(run.out / RECORD)
        except UserError:
            if run.when_exists != "overwrite":
                raise
    if run.earlier is not None and run.when_exists != "overwrite":  # it is the same question
        run.command = run.earlier.command
    folder = RunFolder(run.out, {}, results=[RECORD])
    return folder.identity.get("data", {}).get("train", "not read") if folder.adopt() else "not read"


def _require_training(task: Task, loaded: "LoadedEncoder", config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the weights say of their training. Raises UserError where it has another encoder or recipe than the record
    would say."""
    training = read_metadata(task.weights, task.kind)["training"]
    if training["encoder"] != loaded.fingerprint:
        raise UserError(
            f"{task.weights} was trained on another encoder (fingerprint {training['encoder'][:12]}, not "
            f"{loaded.fingerprint[:12]}). Name the checkpoint that it was trained on, or train in another --out."
        )
    there = {name: part for name, part in training["recipe"].items() if name in config}
    changed = differences(there, as_json({name: config[name] for name in there}))
    if changed := [line for line in changed if not TESTED.search(line.split(":")[0])]:
        raise UserError(
            f"{task.weights} was trained otherwise: {'; '.join(changed)} (there -> asked for). Give the recipe that it was "
            "trained by (config.py beside it, where it is); only what testing alone reads may differ."
        )
    return training


def _spec(encoder: AnyEncoder, loaded: "LoadedEncoder", run: Run) -> str | Path:
    """Return what `load_encoder` takes; an encoder in memory is written to a file."""
    if isinstance(encoder, (str, Path)):
        return encoder
    return save_encoder(loaded.encoder, run.out / ENCODER, method=loaded.method, name=loaded.name)
