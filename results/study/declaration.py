"""What a study file declares: methods and floors, seeds, data, trials, benchmarks, and what may be reported on what."""

from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from flsl.runtime.config import read_config
from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.names import safe_name
from flsl.runtime.schema import Count, parse, section
from results.benchmarks import BENCHMARKS, find_benchmark
from results.record import Metric, Record

Text = Annotated[str, Field(min_length=1, max_length=300)]
GIVEN = {"checkpoint", "data", "out", "name", "seed", "device"}  # arguments of an evaluation that its cell has


@section
class Method:
    """One way to pretrain: a recipe, changed by `set`, and the trials from which the selection data choose one."""

    recipe: Text
    set: tuple[Text, ...] = ()  # KEY=VALUE, in every trial
    trials: Annotated[tuple[tuple[Text, ...], ...], Field(min_length=1)] = ((),)  # KEY=VALUE of each trial


@section
class Evaluation:
    """One benchmark on one data set; `options` are those of `python -m eval COMMAND`, such as `split` or `protocol`."""

    benchmark: Text
    data: Text  # folder below --data
    options: dict[str, Any] = field(default_factory=dict)
    metric: str = ""  # default: the headline
    title: str = ""  # how reports call it, where its benchmark, protocol, data and split do not tell it from others

    def __post_init__(self):
        videos = self.options.get("videos", ())
        if not isinstance(videos, (list, tuple)) or not all(isinstance(name, str) for name in videos):
            raise ValueError(f"options.videos must be a list of names, but is {videos!r}")
        if given := sorted(self.options.keys() & GIVEN):
            raise ValueError(f"options has {', '.join(given)}, which the study gives each evaluation: leave it out")

    @property
    def name(self) -> str:
        """How reports call it."""
        if self.title:
            return self.title
        words = [find_benchmark(self.benchmark).command, str(self.options.get("protocol", "")), self.data]
        words.append(str(self.options.get("split", "")))
        return " ".join(filter(None, words))

    def measured(self, record: Record) -> Metric:
        """Return what a record of it found. Raises UserError where the record does not hold the metric, or no value of it."""
        name = self.metric or record.headline
        if name not in record.metrics:
            what = f"metric {name!r} of {self.name}"
            raise UserError(unknown_key(what, name, record.metrics, f"metric of {record.protocol}"))
        if record.metrics[name].value is None:
            raise UserError(
                f"{self.name}: {name} of {record.model.name} has no value: the data hold nothing to measure it on. "
                "Name another `metric`, or leave it out for the headline."
            )
        return record.metrics[name]

    def overlaps(self, other: "Evaluation") -> bool:
        """Whether both may score the same pictures: one folder and split, unless they name different videos. A split that is
        left out is val, as every benchmark takes it."""
        mine, others = ({*evaluation.options.get("videos", ())} for evaluation in (self, other))
        here, there = ((Path(one.data), one.options.get("split", "val")) for one in (self, other))  # clips/ is clips
        if here != there:
            return False
        return not (mine and others) or bool(mine & others)


@section
class Study:
    """Methods that are pretrained alike and scored alike. `floors` are checkpoints that nobody trained.

    Every method has the same number of trials. They are run with the first seed and judged by the mean score on
    `selection`; only the chosen one is trained with the other seeds and scored on `tests`.
    """

    title: Text
    methods: Annotated[dict[str, Method], Field(min_length=1)]
    pretraining: Annotated[tuple[Text, ...], Field(min_length=1)]  # folders of pictures below --data
    tests: Annotated[tuple[Evaluation, ...], Field(min_length=1)]
    selection: tuple[Evaluation, ...] = ()
    baseline: str = "flsl"  # the method that the others are compared with
    floors: dict[str, Text] = field(default_factory=dict)  # name -> checkpoint, such as random:vit_mini/16
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)] = (0,)
    pictures: tuple[Text, ...] = ()  # below --data: components and clusters are drawn for each method

    def __post_init__(self):
        if self.baseline not in self.methods:
            raise ValueError(f"baseline {self.baseline!r} is none of the methods: {', '.join(self.methods)}")
        if shared := self.methods.keys() & self.floors.keys():
            raise ValueError(f"{', '.join(sorted(shared))} is the name of a method and of a floor")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must differ, but are {list(self.seeds)}")
        counts = {name: len(method.trials) for name, method in self.methods.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise ValueError(f"methods must have the same number of trials, or the care is unequal: {listed}")
        if max(counts.values()) > 1 and not self.selection:
            raise ValueError("trials need selection data to choose by: declare `selection`")
        for kind, evaluations in (("selection", self.selection), ("tests", self.tests)):
            names = [evaluation.name for evaluation in evaluations]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(
                    f"{kind} has {', '.join(twice)} twice: give each a `title` of its own, which reports show"
                )
        for chosen in self.selection:
            for test in self.tests:
                if chosen.overlaps(test):
                    raise ValueError(
                        f"selection and tests both use {chosen.name}: figures are not reported on the data that settings were "
                        "chosen on. Give other data, another split, or other videos."
                    )


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        UserError: it cannot be read, a value is of no use, selection and tests share data, or a benchmark, metric or recipe
            is not there; every name with the nearest valid one.
    """
    study = parse(Study, read_config(path))
    for name in (*study.methods, *study.floors):
        safe_name(name, "a method", path)
    commands = {benchmark.command: benchmark for benchmark in BENCHMARKS.values()}
    for evaluation in (*study.selection, *study.tests):
        named = evaluation.benchmark
        if named not in commands:
            raise UserError(unknown_key(f"{path}: benchmark {named!r}", named, commands))
        declared, protocol = commands[named].protocols, evaluation.options.get("protocol", "*")
        fitting = [one for one in declared if one.covers(f"{one.pattern.partition('/')[0]}/{protocol}")]
        metrics = {metric.name: metric for one in fitting or declared for metric in one.metrics}
        if evaluation.metric and evaluation.metric not in metrics:
            raise UserError(unknown_key(f"{path}: metric {evaluation.metric!r} of {named}", evaluation.metric, metrics))
        if evaluation.metric and not metrics[evaluation.metric].higher_is_better:
            raise UserError(
                f"{path}: metric {evaluation.metric!r} of {named} is better where it is lower, but a study takes the highest. Name "
                "another, or leave `metric` out for the headline."
            )
    return study
