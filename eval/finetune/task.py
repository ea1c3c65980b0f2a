"""What a fine-tuning says about itself; training, prediction, evaluation, `--plan` and `bench` do the rest."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import Self

from eval.finetune.recipe import FinetuneRecipe
from eval.predictor import Predictor
from eval.run import Run
from flsl.runtime.schema import section
from flsl.runtime.stopwatch import Stopwatch
from results.record import Record

if TYPE_CHECKING:
    import torch

Part = Literal["train", "test"]  # of the data


@section
class FinetuneOptions:
    """What can be chosen wherever an encoder is fine-tuned."""

    config: str  # recipe file
    overrides: tuple[str, ...] = ()  # `section.key=value`
    test_only: bool = False  # use the weights that are in `out`


@dataclass(frozen=True)
class Task(ABC):
    """One fine-tuning: a recipe and data, each read when it is asked for; UserError where they cannot be used."""

    data: Path
    out: Path
    options: Any  # FinetuneOptions, or a benchmark's own with more
    scoring: bool = False  # only predictions that are there are scored: nothing else of the data need be there

    kind: ClassVar[str]  # of model: its weights are OUT/<kind>.safetensors
    package: ClassVar[str]  # whose models it has; its configuration is written to OUT/<package>_config.py
    components: ClassVar[str]  # module that registers what is ours with the library
    words: ClassVar[tuple[str, str, str]]  # what the model does to an image, as a verb, as a noun, and what it finds
    predictions: ClassVar[str]  # name in OUT of what is scored
    saves: ClassVar[str]  # name in OUT of what predicting writes, which scoring may put into another form
    made: ClassVar[tuple[str, ...]]  # what preparing and predicting write
    tables: ClassVar[tuple[str, ...]]  # what scoring writes
    everything: ClassVar[tuple[str, ...]] = ()  # overrides with which an untrained model finds as much as it can
    drawn: ClassVar[dict[str, int]]  # how much `bench` draws where no data are named: keywords of its synthesizer

    @property
    def weights(self) -> Path:
        """The trained model."""
        return self.out / f"{self.kind}.safetensors"

    def but(self, *overrides: str, **fields: Any) -> Self:
        """Return the task with other fields, and with further overrides of its recipe."""
        options = replace(self.options, overrides=(*self.options.overrides, *overrides))
        return replace(self, options=options, **fields)

    @property
    @abstractmethod
    def recipe(self) -> FinetuneRecipe:
        """The recipe that the options name."""

    @property
    @abstractmethod
    def protocols(self) -> tuple[str, ...]:
        """Protocols of the records that `score` writes."""

    def check(self) -> None:  # noqa: B027
        """Raise UserError if there are no data to train on; it takes no time."""

    def prepare(self) -> None:  # noqa: B027
        """Write what training and prediction read, if anything; one process does."""

    @abstractmethod
    def identity(self, part: Part) -> dict[str, str]:
        """Return what tells one part of the data from others: its `annotations`, and, unless only predictions are scored,
        its `images`, every one of which must be there."""

    @property
    @abstractmethod
    def trained_on(self) -> str:
        """Name of the training data, for the metadata of the weights."""

    @abstractmethod
    def check_categories(self, trained: list[dict[str, Any]]) -> None:
        """Raise UserError unless the categories (`id` and `name`) that the model is trained on are those of the evaluated
        data."""

    @property
    @abstractmethod
    def images(self) -> int:
        """Number of evaluated images."""

    @property
    @abstractmethod
    def pixels(self) -> int:
        """Pixels of the largest training image, as the network sees it."""

    @abstractmethod
    def dataset(self, part: Part) -> dict[str, Any]:
        """Return a data set's configuration; it builds a `SeededDataset`."""

    @abstractmethod
    def model(self, backbone: dict[str, Any], classes: int) -> dict[str, Any]:
        """Return the model's configuration around `eval.finetune.config.backbone_config`."""

    def pending(self, images: int) -> Sequence[int]:
        """Return which of so many images have no prediction yet; those that are there are the weights' (`keep_own`)."""
        return range(images)

    @contextmanager
    def timed(self, model: "torch.nn.Module", watch: Stopwatch, finish: Callable[[], None]) -> Iterator[None]:
        """Take parts of the phase `network` apart while inside; `finish` waits for what the device was given to do."""
        yield

    @abstractmethod
    def collect(self, samples: Iterable[Any], categories: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return, or write, what the model found on a batch."""

    @abstractmethod
    def save(self, collected: list[dict[str, Any]]) -> Any:
        """Write what all processes collected, whole or not at all; returns the predictions as `score` takes them."""

    @abstractmethod
    def saved(self) -> Any:
        """Return the predictions that are there as `score` takes them; None unless all are."""

    @abstractmethod
    def mebibytes(self) -> float:
        """Return how much disk the predictions take at most."""

    @abstractmethod
    def read(self, predictions: Path) -> Any:
        """Return anyone's predictions as `score` takes them. Raises UserError naming what is wrong with them."""

    def outside_config(self) -> dict[str, Any]:
        """Return the record's configuration of predictions that nobody says more about."""
        return {}

    def files(self, predictions: Path) -> list[Path]:
        """Return the files that hold predictions."""
        return [predictions]

    @abstractmethod
    def score(
        self, run: Run, found: Any, model: Predictor, metadata: Mapping[str, Any] | None, about: dict[str, Any]
    ) -> Record:
        """Compute the metrics and write everything that shows them.

        Args:
            run: the evaluation.
            found: the predictions.
            model: who made them.
            metadata: of the weights, if this run made the predictions.
            about: what `Run.finish` is told of the model, its `config`, its `warnings` and the `files` written so far.
        """

    def bench(self) -> None:  # noqa: B027
        """Print how long scoring takes, after what `bench` prints of every task."""
