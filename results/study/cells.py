"""The cells of a study: each one command, one folder named after all that its result depends on, and what it costs.

A changed study file makes other cells: nothing finished is taken for something else, and nothing is overwritten.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import safe_open

from flsl.runtime.apart import require_apart
from flsl.runtime.config import read_config
from flsl.runtime.errors import UserError
from flsl.runtime.files import IMAGES, list_files
from results.record import Record
from results.store import read_record
from results.study.apart import require_videos_apart
from results.study.declaration import Evaluation, Method, Study
from results.study.made_of import require_same

ENCODER = "encoder.safetensors"
EPOCHS, BATCH_SIZE = 300, 512  # of a recipe that leaves them at the published settings


@dataclass(frozen=True)
class Place:
    """Where a study's data are, where its results go, and on which device it runs."""

    data: Path
    out: Path
    device: str = "auto"


@dataclass(frozen=True)
class Pretraining:
    """One pretraining run of a method; `overrides` are the KEY=VALUE of method, trial and seed."""

    method: str
    trial: int
    seed: int
    recipe: str
    overrides: tuple[str, ...]
    pictures: Path
    place: Place

    @property
    def resolved(self) -> dict[str, Any]:
        """The recipe as it is run, without what changes no result."""
        return _resolve(self.recipe, self.overrides)

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        return self.resolved.get("training", {}).get("batch_size", BATCH_SIZE)

    @property
    def name(self) -> str:
        """What it is called in plans and messages."""
        return f"pretrain {self.method}, trial {self.trial + 1}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Its --out."""
        key = _digest([self.resolved, self.seed, str(self.pictures.name)])
        return self.place.out / "pretrain" / f"{self.method}-trial{self.trial + 1}-seed{self.seed}-{key}"

    @property
    def checkpoint(self) -> str:
        """The encoder that it makes."""
        return str(self.folder / ENCODER)

    @property
    def done(self) -> bool:
        """Whether it has been run to its end: the folder's identity says so."""
        try:
            return json.loads((self.folder / "run.json").read_text())["finished"] is not None
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def failure(self) -> Path:
        """Where it is written down that its last attempt failed, such as a rate by which it diverges."""
        return self.place.out / "failed" / f"{self.folder.name}.txt"

    @property
    def failed(self) -> bool:
        """Whether its last attempt failed."""
        return not self.done and self.failure.is_file()

    @property
    def command(self) -> list[str]:
        """The words after `python`."""
        words = ["-m", "pretrain", self.recipe, "--data", str(self.pictures), "--out", str(self.folder)]
        return [*words, "--device", self.place.device, *(word for o in self.overrides for word in ("--set", o))]

    def seen(self, pictures: int) -> int:
        """Return how many images it sees in all, of a folder with that many."""
        epochs = self.resolved.get("training", {}).get("epochs", EPOCHS)
        return epochs * (pictures // self.batch_size) * self.batch_size

    def facts(self) -> dict[str, Any]:
        """Return what the finished encoder says of its pretraining, from the header of its file; nothing if it was deleted."""
        if not Path(self.checkpoint).is_file():
            return {}
        with safe_open(self.checkpoint, framework="numpy") as file:
            return json.loads(file.metadata()["pretraining"])

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of its log (`read_log`)."""
        return read_log(self.folder)

    def seconds(self) -> float:
        """Return how long it has trained, by its log."""
        last, spent = -1, 0.0
        for line in (line for line in self.log() if "images_per_second" in line):
            spent += (line["step"] - last) * self.batch_size / line["images_per_second"]
            last = line["step"]
        return spent


@dataclass(frozen=True)
class Scoring:
    """One evaluation of one checkpoint, that of a pretraining or a floor's."""

    model: str  # method or floor
    seed: int
    checkpoint: str
    evaluation: Evaluation
    place: Place
    made_by: Pretraining | None = None

    @property
    def name(self) -> str:
        """What it is called in plans and messages."""
        trial = f", trial {self.made_by.trial + 1}" if self.made_by else ""
        return f"{self.evaluation.name}: {self.model}{trial}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Its --out."""
        made = self.made_by.folder.name if self.made_by else [self.checkpoint, self.seed]
        evaluation = self.evaluation
        key = _digest([made, evaluation.benchmark, evaluation.data, evaluation.options])
        return self.place.out / "eval" / f"{self.model}-seed{self.seed}-{evaluation.benchmark}-{key}"

    @property
    def record(self) -> Record | None:
        """What it found, None while it is not done."""
        path = self.folder / "record.json"
        return read_record(path) if path.is_file() else None

    @property
    def done(self) -> bool:
        """Whether its record is there."""
        return (self.folder / "record.json").is_file()

    @property
    def command(self) -> list[str]:
        """The words after `python`."""
        data = str(self.place.data / self.evaluation.data)
        words = ["-m", "eval", self.evaluation.benchmark, "--checkpoint", self.checkpoint, "--data", data]
        words += ["--out", str(self.folder), "--name", self.model, "--seed", str(self.seed)]
        words += ["--device", self.place.device]
        for key, value in self.evaluation.options.items():
            flag = f"--{key.replace('_', '-')}"
            values = value if isinstance(value, (list, tuple)) else [value]
            words += [flag] if value is True else [] if value is False else [flag, *map(str, values)]
        return words

    def score(self) -> float | None:
        """Return its score in percent, None while it is not done."""
        record = self.record
        return None if record is None else self.evaluation.measured(record).value


Cell = Pretraining | Scoring


@dataclass(frozen=True)
class Cells:
    """All cells that a study can have; which trial's are needed is known once the selection is scored."""

    study: Study
    place: Place
    pictures: Path

    def trials(self) -> list[Pretraining]:
        """Return every trial of every method, with the first seed."""
        return [
            self._pretraining(name, method, trial, self.study.seeds[0])
            for name, method in self.study.methods.items()
            for trial in range(len(method.trials))
        ]

    def _pretraining(self, name: str, method: Method, trial: int, seed: int) -> Pretraining:
        overrides = (*method.set, *method.trials[trial], f"training.seed={seed}")
        return Pretraining(name, trial, seed, method.recipe, overrides, self.pictures, self.place)

    def selecting(self) -> list[Scoring]:
        """Return what the trials are chosen by; nothing where there is nothing to choose."""
        trials = [trial for trial in self.trials() if len(self.study.methods[trial.method].trials) > 1]
        return [_score(trial, evaluation) for trial in trials for evaluation in self.study.selection]

    def chosen(self) -> dict[str, Pretraining | None]:
        """Return the best trial of each method by the mean score on the selection, None while one is not scored. A trial that
        failed, such as by a rate that is too high, is no choice."""
        found: dict[str, Pretraining | None] = {}
        for name in self.study.methods:
            means = {}
            for trial in (trial for trial in self.trials() if trial.method == name and not trial.failed):
                scores = [_score(trial, evaluation).score() for evaluation in self.study.selection]
                means[trial] = None if None in scores else math.fsum(filter(None, scores))
            if len(means) == 1 and len(self.study.methods[name].trials) == 1:
                found[name] = next(iter(means))
            else:
                found[name] = (
                    None if not means or None in means.values() else max(means, key=lambda trial: means[trial] or 0.0)
                )
        return found

    def final(self, chosen: Pretraining) -> list[Pretraining]:
        """Return the runs of a chosen trial, one per seed."""
        method = self.study.methods[chosen.method]
        return [self._pretraining(chosen.method, method, chosen.trial, seed) for seed in self.study.seeds]

    def floors(self) -> list[Scoring]:
        """Return the tests of the floors; what needs no seed (no random weights) is scored once."""
        return [
            Scoring(name, seed, checkpoint, evaluation, self.place)
            for name, checkpoint in self.study.floors.items()
            for seed in (self.study.seeds if checkpoint.startswith("random:") else self.study.seeds[:1])
            for evaluation in self.study.tests
        ]

    def tests(self, run: Pretraining) -> list[Scoring]:
        """Return the tests of a run."""
        return [_score(run, evaluation) for evaluation in self.study.tests]


def _score(run: Pretraining, evaluation: Evaluation) -> Scoring:
    return Scoring(run.method, run.seed, run.checkpoint, evaluation, run.place, run)


def open_cells(study: Study, place: Place) -> Cells:
    """Find the data of a study, link its pretraining pictures into one folder, and hold that methods see equally many.

    Raises:
        UserError: a folder, recipe or picture is missing or another than it was, a video would choose trials and be reported, or
            methods would see different numbers of images.
    """
    for evaluation in (*study.selection, *study.tests):
        if not (place.data / evaluation.data).is_dir():
            raise UserError(f"{place.data / evaluation.data} is not there: the study scores {evaluation.name} on it.")
    for picture in study.pictures:
        if not (place.data / picture).is_file():
            raise UserError(f"{place.data / picture} is not there: the study shows it.")
    require_videos_apart(study, place.data)
    read = [*study.pretraining, *(evaluation.data for evaluation in (*study.selection, *study.tests))]
    require_apart(place.out, {f"the files of {name} in --data": place.data / name for name in read})
    folders = [(place.data / name).resolve() for name in study.pretraining]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} is not there: the study pretrains on it.")
    require_same(study, place.data, place.out)
    names = [Path(name).name for name in study.pretraining]
    if len(set(names)) < len(names):  # imagenet/train and photographs/train
        names = [name.strip("/").replace("/", "-") for name in study.pretraining]
    if len(set(names)) < len(names):
        raise UserError(f"the study pretrains on a folder twice: {', '.join(study.pretraining)}. Name each once.")
    pictures = place.out / "data" / "+".join(names)
    pictures.mkdir(parents=True, exist_ok=True)
    for name, folder in zip(names, folders):
        link = pictures / name
        source = folder / "train" if (folder / "train").is_dir() else folder  # as pretraining takes a folder of its own
        if not link.is_symlink() or link.resolve() != source:
            link.unlink(missing_ok=True)
            link.symlink_to(source)
    cells = Cells(study, place, pictures)
    count = len(list_files(pictures, IMAGES))
    seen = {trial.name: trial.seen(count) for trial in cells.trials()}
    if max(seen.values()) > 1.01 * min(seen.values()):
        listed = "; ".join(f"{name}: {number:,}" for name, number in seen.items())
        raise UserError(f"the methods would see different numbers of images ({listed}): set training.epochs alike.")
    return cells


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]


@cache  # a recipe is read once: one that is edited while a study runs does not change its cells under way
def _resolve(recipe: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    sections = {override.partition(".")[0] for override in overrides}
    resolved = read_config(recipe, overrides, optional=sections)
    for key in ("epochs", "batch_size"):  # the plan counts with them; all else is for `pretrain` to refuse
        value = resolved.get("training", {}).get(key, 1)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{recipe}: training.{key} must be a whole number of at least 1, but is {value!r}.")
    for key in ("runtime", "probe"):
        resolved.pop(key, None)
    return resolved


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a pretraining's log, oldest first: of steps (with `loss`, `images_per_second`), and of its probe
    (with `probe`, name -> number). Lines that a crash cut short are left out; without a log there are none."""
    lines = []
    try:
        text = (folder / "log.jsonl").read_text()
    except OSError:
        return []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
