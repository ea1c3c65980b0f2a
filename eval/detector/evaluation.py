"""What every detection benchmark does with an encoder: train the recipe's detector, then detect on the test split."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eval.detector.annotations import Annotations, read_annotations
from eval.detector.recipe import Recipe, identity_of
from eval.run import Run
from flsl.checkpoint import save_encoder
from flsl.runtime.config import dump_config
from flsl.runtime.distributed import is_main, on_main, wait
from flsl.runtime.errors import UserError
from flsl.runtime.files import digest_of_files, sha256_of_file, write_text
from flsl.runtime.schema import section

if TYPE_CHECKING:
    from flsl.checkpoint import LoadedEncoder

DETECTOR, DETECTIONS = "detector.safetensors", "detections.json"
# What training and detection write. States lie in train/.
OUTPUTS = (DETECTOR, DETECTIONS, "train", "config.py", "mmdet_config.py")


@section
class DetectorOptions:
    """What can be chosen in a detection benchmark."""

    config: str  # recipe file
    overrides: tuple[str, ...] = ()  # `section.key=value`
    test_only: bool = False  # use the detector that is in `out`
    metric_backend: Literal["faster", "pycocotools"] = "faster"  # of COCO's metrics; both give the same


@dataclass(frozen=True)
class Split:
    """Images of one split: COCO instances JSON and the folder that its file names are in."""

    annotations: Path
    images: Path

    def identity(self, content: Annotations | None = None) -> dict[str, str]:
        """Return what tells these data from others; every file that is listed must be there."""
        content = content or read_annotations(self.annotations, self.images)
        files = [self.images / image["file_name"] for image in content.images]
        return {
            "annotations": sha256_of_file(self.annotations),
            "images": digest_of_files(self.images, files, contents=False),
        }


def identity(recipe: Recipe, fingerprint: str, train: dict[str, str] | str, test: dict[str, str]) -> dict[str, Any]:
    """Return what a detector and its detections depend on, besides benchmark and seed.

    Args:
        recipe: its runtime section changes no result and is left out.
        fingerprint: of the encoder.
        train: `Split.identity` of the training split.
        test: likewise, of the evaluated one.
    """
    return {
        "encoder": fingerprint,
        "recipe": identity_of(recipe),
        "data": {"train": train, **test},
    }


def train_and_detect(
    run: Run,
    recipe: Recipe,
    encoder: "str | Path | LoadedEncoder",
    loaded: "LoadedEncoder",
    train: Split,
    test: Split,
    *,
    test_only: bool,
    resumed: bool,
    evaluated: Annotations | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Train unless the detector is there, detect unless the detections are; every rank calls this inside `run.claim`.

    Args:
        run: owns the output folder.
        recipe: see `eval.detector.recipe`.
        encoder: what the user named, or the loaded encoder itself.
        loaded: the encoder.
        train: training split.
        test: evaluated split.
        test_only: use the detector in `run.out`, and detect anew.
        resumed: whether detections that are there may be this run's.
        evaluated: annotations of the test split, to notice before training that they do not fit.

    Returns:
        COCO results, and the detector's metadata (`warnings`, number of training `images`).

    Raises:
        UserError: no trained detector, or one of another encoder; see `train_detector` and `detect`.
    """
    # Importing mmdet takes seconds: not before what the command names is known to be there.
    from eval.detector.detect import detect
    from eval.detector.train import train_detector
    from eval.detector.weights import read_detector_metadata

    out, detector = run.out, run.out / DETECTOR
    if test_only:
        trained_on = read_detector_metadata(detector)["training"]["encoder"]
        if trained_on != loaded.fingerprint:
            raise UserError(
                f"{detector} was trained on another encoder (fingerprint {trained_on[:12]}, not {loaded.fingerprint[:12]}). "
                "Name the checkpoint that it was trained on, or train in another --out."
            )
    if is_main():
        write_text(out / "config.py", dump_config(identity_of(recipe) | {"runtime": vars(recipe.runtime)}))
        if not isinstance(encoder, (str, Path)):  # the detector's configuration names a file
            encoder = save_encoder(loaded.encoder, out / "encoder.safetensors", method=loaded.method, name=loaded.name)
    checkpoint = str(on_main(lambda: encoder))
    if not test_only:
        with run.watch.phase("training"):
            train_detector(
                recipe,
                checkpoint,
                annotations=train.annotations,
                images=train.images,
                out=out,
                seed=run.seed,
                device=run.device,
                evaluated=evaluated,
            )
    metadata, saved = read_detector_metadata(detector), out / DETECTIONS
    # Detections appear whole or not at all, after the detector: a resumed run need not make them again.
    if (
        resumed
        and not test_only
        and on_main(lambda: saved.is_file() and saved.stat().st_mtime >= detector.stat().st_mtime)
    ):
        return json.loads(saved.read_bytes()), metadata
    with run.watch.phase("detection"):
        detections = detect(
            recipe, detector, annotations=test.annotations, images=test.images, out=saved, device=run.device
        )
    wait()
    return detections, metadata
