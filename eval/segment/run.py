"""From an encoder and a data set of segmentation to predictions, figures and a record, by any protocol.

python -m eval segment --checkpoint CHECKPOINT --data DIR --out DIR --protocol NAME

A protocol names the module of its method, which has

    predict(task)                      yields index, part and numbers (H, W) of each image that is to do
    TOGETHER                           optional: whether a prediction depends on which other images are evaluated
    score(scored, metrics)             optional: figures of saved predictions that are no classes (`scoring.score_classes`)
    evaluate(encoder, data, run, options)   optional: does everything by itself, as `eval.run` asks
"""

import dataclasses
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from eval.predictor import claim_scoring, load_predictor, predictor
from eval.protocol import find_protocol
from eval.run import AnyEncoder, Run
from eval.segment.datasets import open_segmentation
from eval.segment.predictions import Predictions
from eval.segment.protocols import PROTOCOLS, Frozen
from eval.segment.report import PREDICTIONS, TABLES, write_report
from eval.segment.scoring import Scored
from flsl.runtime.apart import require_apart
from flsl.runtime.distributed import world_size
from flsl.runtime.errors import UserError
from flsl.runtime.preemption import Preempted, StopSignal
from flsl.runtime.schema import PositiveInt, section
from results import record

if TYPE_CHECKING:
    from eval.segment.task import Task

FEATURES = "features"
SHARED_BY_RANKS = True  # under torchrun every process calls `evaluate`; only fine-tuning has work for them


@section
class Options:
    """What can be chosen; nothing but protocol, layout and recipe changes a prediction."""

    protocol: str = "in-context-hbird"
    layout: str | None = None  # of the data; None finds it
    limit: PositiveInt | None = None  # evaluate only the first so many images; the record is partial
    batch_size: PositiveInt | None = None  # images encoded at once; None: 4 on a CPU, 32 on a GPU
    features: str | None = None  # folder of encoded images, shared by runs; None: OUT/features
    # Of fine-tuned protocols alone:
    config: str | None = None  # recipe file; None: the protocol's own
    overrides: tuple[str, ...] = ()  # `section.key=value`
    test_only: bool = False  # use the segmentor that is in `out`


def evaluate(encoder: AnyEncoder, data: Path, run: Run, options: Options) -> record.Record:
    """Predict the evaluated split's images, save the predictions and score them.

    Raises:
        UserError: data or checkpoint cannot be used, or `run.out` holds another run.
        Preempted: a signal asked to stop; what was encoded, trained and predicted is kept.
    """
    protocol = find_protocol(options.protocol, PROTOCOLS)
    method = import_module(protocol.method)
    if hasattr(method, "evaluate"):
        return method.evaluate(encoder, data, run, options)
    if options.config or options.overrides or options.test_only:
        raise UserError(
            f"{protocol.name} trains no network by a recipe: there is nothing to configure, or to test only"
        )
    assert isinstance(protocol, Frozen)  # others evaluate by themselves
    if world_size() > 1:
        raise UserError(f"{protocol.name} runs in one process here: start it without torchrun or srun")
    require_apart(
        options.features or run.out, {"the files of --data": data}, option="--features" if options.features else "--out"
    )
    with run.watch.phase("reading"):
        opened = open_segmentation(data, options.layout)
        train, val = opened.split(opened.train), opened.split(opened.val)
    # Importing torch takes seconds: not before the folders are known to be there.
    from eval.segment.task import Task
    from eval.segment.tokens import TokenStore

    loaded, model = load_predictor(run, encoder, run.choose_device())
    with run.watch.phase("reading"):
        annotations = val.digest()
        digests = {"annotations": annotations, "train": train.digest()}
    config = dataclasses.asdict(protocol)
    identity = {
        "encoder": model.identity,
        "protocol": config,
        "data": {"layout": opened.name, "classes": opened.classes, **digests},
    }
    chosen = range(len(val))[: options.limit]
    predictions = Predictions(run.out / PREDICTIONS)
    part = [val.names[image] for image in chosen] if len(chosen) < len(val) else None
    outputs, together = [PREDICTIONS, *getattr(method, "OUTPUTS", ()), *TABLES], getattr(method, "TOGETHER", False)
    with run.claim(identity, part=part, outputs=outputs, together=together) as state:
        if state == "done":
            return run.kept()
        todo = list(chosen) if together else predictions.missing([val.names[i] for i in chosen], protocol.parts)
        if len(todo) < len(chosen):
            print(f"{len(chosen) - len(todo)} of {len(chosen)} images have their predictions already")
        store = TokenStore(
            Path(options.features or run.out / FEATURES), loaded, run.device, run.watch, options.batch_size
        )
        task = Task(loaded, opened, protocol, todo, chosen, run, store)
        _predict(method, task, predictions)
        scored = Scored(predictions, val, chosen, opened.classes, protocol, loaded.encoder.patch_size, run.seed)
        run.learned_from = train.truth_digest if protocol.learns else None
        return write_report(run, opened, scored, protocol.key(opened.name), model, config)


def _predict(method: ModuleType, task: "Task", predictions: Predictions) -> None:
    """Save the prediction of each image that is to do, until a signal asks to stop."""
    names = task.val.names
    with StopSignal() as stop:
        for image, folder, numbers in method.predict(task) if task.todo else ():
            with task.run.watch.phase("writing"):
                predictions.write(numbers, names[image], folder)
            if stop.requested:
                raise Preempted("stopped while predicting; the same command goes on with the images that are left")


def score(
    predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Options
) -> record.Record:
    """Score saved predictions, anyone's: `NAME.png` with the class as number, at the protocol's size.

    Raises:
        UserError: data or predictions are missing or malformed, or others than are to be scored were made together.
    """
    predictions = run.saved(predictions, PREDICTIONS, "one PNG per image")
    protocol = find_protocol(options.protocol, PROTOCOLS)
    opened = open_segmentation(data, options.layout)
    val = opened.split(opened.val)
    chosen, saved = range(len(val))[: options.limit], Predictions(predictions)
    files = [saved.path(val.names[image], folder) for image in chosen for folder in protocol.parts]
    model = predictor(run, encoder, predictions, files, "method")
    key, config = protocol.key(opened.name), dataclasses.asdict(protocol)
    if model.record is not None and protocol.made(model.record.protocol, opened.name):
        key, config = model.record.protocol, model.record.config
    elif model.record is not None:
        raise UserError(
            f"{predictions} was made by {model.record.protocol}, not by {protocol.key(opened.name)}. Name its protocol "
            "(--protocol), and the data that it was made on."
        )
    made = len(chosen) if model.record is None else model.record.dataset.items_evaluated
    if made != len(chosen) and getattr(import_module(protocol.method), "TOGETHER", False):
        raise UserError(
            f"{predictions} was made of {made} images together, and stands for no other number of them than that. Score "
            f"these ({'without --limit' if made == len(val) else f'--limit {made}'}), or predict in another --out."
        )
    identity = {"protocol": protocol.name, "data": {"annotations": val.digest()}}
    part = [val.names[image] for image in chosen] if len(chosen) < len(val) else None
    with claim_scoring(run, predictions, model, identity, part=part, outputs=TABLES):
        patch_size = model.model["patch_size"]
        scored = Scored(saved, val, chosen, opened.classes, protocol, patch_size, run.seed)
        return write_report(run, opened, scored, key, model, config)
