"""A COCO run: train the recipe's detector, detect on the validation split, score; or score saved detections.

python -m eval coco --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG]
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from eval.coco.detections import read_detections
from eval.coco.recipe import CocoRecipe
from eval.coco.scoring import OUTPUTS as TABLES
from eval.coco.scoring import write_scores
from eval.detector.annotations import read_annotations
from eval.detector.config import check_encoder
from eval.detector.evaluation import DETECTIONS, OUTPUTS, DetectorOptions, Split, identity, train_and_detect
from eval.detector.recipe import identity_of, read_recipe
from eval.run import Predictor, Run, load, predictor
from flsl.runtime.distributed import on_main, start_ranks
from flsl.runtime.errors import UserError
from flsl.runtime.files import sha256_of_file
from results.record import Record

if TYPE_CHECKING:
    from flsl.checkpoint import LoadedEncoder
    from flsl.encoder import Encoder

SHARED_BY_RANKS = True  # under torchrun every process calls `evaluate`
Options = DetectorOptions


def evaluate(encoder: "str | Path | LoadedEncoder | Encoder", data: Path, run: Run, options: Options) -> Record:
    """Train the recipe's detector unless it is trained, save its detections on the validation split, score them.

    Raises:
        UserError: data, recipe or checkpoint cannot be used, `run.out` holds another run, or training failed.
    """
    recipe, _ = read_recipe(Path(options.config), options.overrides, CocoRecipe)
    run.benchmark.declaration_of(recipe.protocol)  # an unknown one would be refused after the training
    train, test = splits(recipe, data)
    start_ranks(str(run.choose_device()))
    loaded = load(encoder, seed=run.seed)
    check_encoder(recipe.model, loaded.encoder.config)
    truth = read_annotations(test.annotations, test.images, recipe.model.detector == "mask-rcnn", scored=True)
    train_identity = "not read" if options.test_only else on_main(train.identity)
    made_of = identity(recipe, loaded.fingerprint, train_identity, on_main(lambda: test.identity(truth)))
    allowed = ("recipe", "data") if options.test_only else ()
    outputs = (*TABLES, DETECTIONS) if options.test_only else (*TABLES, *OUTPUTS)
    with run.claim(made_of, outputs=outputs, allowed=allowed, rescore=options.test_only) as state:
        if state == "done":
            return run.kept()
        detections, metadata = train_and_detect(
            run,
            recipe,
            encoder if isinstance(encoder, (str, Path)) else loaded,
            loaded,
            train,
            test,
            test_only=options.test_only,
            resumed=state == "resume",
            evaluated=truth,
        )

        def score_them() -> Record:
            return write_scores(
                run,
                truth,
                detections,
                protocol=recipe.protocol,
                masks_expected=recipe.model.detector == "mask-rcnn",
                config=identity_of(recipe),
                data=data,
                images=test.images,
                model=Predictor(loaded.model_fields(run.name), metadata["warnings"]),
                files={"detections": DETECTIONS, "config": "config.py", "detector": "detector.safetensors"},
                backend=options.metric_backend,
                trained_on=metadata["images"],
            )

        return on_main(score_them)


def score(
    predictions: Path | None,
    encoder: "str | Path | LoadedEncoder | Encoder | None",
    data: Path,
    run: Run,
    options: Options,
) -> Record:
    """Score saved detections: COCO results, anyone's.

    Raises:
        UserError: data or detections are missing or malformed.
    """
    recipe, _ = read_recipe(Path(options.config), options.overrides, CocoRecipe)
    _, test = splits(recipe, data)
    path = predictions or run.out / DETECTIONS
    with run.watch.phase("reading"):
        truth = read_annotations(test.annotations, None, scored=True)
        detections = read_detections(path, truth)
    model = predictor(run, encoder, path, [path], "detector")
    protocol, config = recipe.protocol, identity_of(recipe)
    if model.record is not None:
        protocol, config = model.record.protocol, model.record.config
    elif encoder is None:
        protocol = "coco/outside@1"
    made_of = {"predictions": model.identity, "data": {"annotations": sha256_of_file(test.annotations)}}
    with run.claim_scoring(path, made_of, outputs=TABLES):
        return write_scores(
            run,
            truth,
            detections,
            protocol=protocol,
            masks_expected=recipe.model.detector == "mask-rcnn",
            config=config,
            data=data,
            images=test.images,
            model=model,
            files={"detections": path.name} if path.parent.resolve() == run.out.resolve() else {},
            backend=options.metric_backend,
        )


def splits(recipe: CocoRecipe, data: Path) -> tuple[Split, Split]:
    """Return the training and the validation split that the recipe's `data` section names.

    Raises:
        UserError: `data` is empty.
    """
    names = recipe.data
    if not any(data.iterdir()):
        raise UserError(f"--data {data} is empty. It must hold {', '.join(dataclasses.asdict(names).values())}.")
    return (
        Split(data / names.train_annotations, data / names.train_images),
        Split(data / names.val_annotations, data / names.val_images),
    )
