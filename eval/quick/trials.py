"""What a quick look measures: small drawn data for three frozen benchmarks, and the encoders that stand beside yours."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval import evaluate
from eval.data.synthesize import synthesize
from results.compare import compare_records
from results.record import Record
from results.study.scores import Pair, correct

if TYPE_CHECKING:
    from flsl.checkpoint import LoadedEncoder

BUNDLED = Path(__file__).parent / "encoder.safetensors"  # dense_demo.py with training.epochs=14
SEED = 21  # of the data: other pictures than `eval data synthesize` draws, on which recipes were chosen


@dataclass(frozen=True)
class Trial:
    """One benchmark on data that are drawn for it."""

    title: str
    benchmark: str  # as `evaluate` takes it
    drawn: str  # as `synthesize` takes it
    meaning: str  # of the score, for somebody who has not met it before
    sizes: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)


TRIALS = (
    Trial(
        "label propagation",
        "davis",
        "davis",
        "J&F: objects are masked in a clip's first frame; how well do features alone carry the masks on, in changing light (100: perfectly)",
        {"sequences": 16, "train_sequences": 0, "frames": 5, "height": 192, "width": 336, "flicker": 60},
    ),
    Trial(
        "in-context segmentation",
        "segmentation",
        "segment",
        "mIoU: every patch takes the class of the labeled patches that it resembles most; overlap with the truth, mean over classes",
        {"count": 24, "val_count": 16},
        {"protocol": "in-context-hbird"},
    ),
    Trial(
        "k-NN in boxes",
        "knn",
        "coco",
        "accuracy: patches inside an object's box vote for its class by their 20 nearest neighbors in other pictures",
        {"count": 80, "val_count": 50},
    ),
)


@dataclass(frozen=True)
class Contender:
    """An encoder of the table, and why it stands there."""

    name: str
    encoder: "LoadedEncoder"
    about: str


def choose_contenders(loaded: "LoadedEncoder", device: Any) -> list[Contender]:
    """Return your encoder, the same network untrained, color and place without a network, and the bundled encoder."""
    from flsl.checkpoint import load_encoder, untrained

    patch = loaded.encoder.patch_size
    found = [Contender("yours", loaded, loaded.name)]
    if loaded.format != "random" and loaded.format != "pixels":
        found.append(
            Contender("random", untrained(loaded.encoder.config, device=device), "the same network, untrained")
        )
    if loaded.format != "pixels":
        found.append(Contender("pixels", load_encoder(f"pixels/{patch}", device), "mean color and place of a patch"))
    bundled = load_encoder(BUNDLED, device)
    if bundled.name != loaded.name:  # another encoder of the same recipe tells nothing more
        about = f"{bundled.name}: trained by this project on drawn pictures for two minutes"
        found.append(Contender("bundled", bundled, about))
    return found


def run_trial(trial: Trial, contenders: list[Contender], out: Path, device: str, command: str) -> dict[str, Record]:
    """Draw a trial's data below `out`, where they are not there yet, and score every contender on them."""
    data = out / "data" / trial.drawn
    synthesize(trial.drawn, data, SEED, **trial.sizes)
    return {
        contender.name: evaluate(
            contender.encoder,
            trial.benchmark,
            data,
            out / contender.name / trial.benchmark,
            name=contender.encoder.name,
            device=device,
            command=command,
            **trial.options,
        )
        for contender in contenders
    }


def compare_all(records: Mapping[str, Mapping[str, Record]]) -> list[Pair]:
    """Compare `yours` with every other encoder on every trial (title -> name -> record), corrected by Holm's method."""
    pairs = []
    for title, scored in records.items():
        for name, other in scored.items():
            if name != "yours":
                compared = compare_records(scored["yours"], other)
                pairs.append(Pair(title, name, replace(compared, a="yours", b=name)))
    return correct(pairs)
