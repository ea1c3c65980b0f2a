"""An evaluation by label propagation, but for its metric: predict what is not there yet, or take what others predicted."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from eval.predictor import Predictor, claim_scoring, load_predictor, predictor
from eval.propagation.options import Options
from eval.propagation.protocol import Protocol
from eval.propagation.video import Video
from eval.protocol import find_protocol
from eval.run import RECORD, AnyEncoder, Run
from eval.videos import VideoData
from flsl.runtime.config import dump_config
from flsl.runtime.errors import UserError
from flsl.runtime.files import digest_of_files, write_text
from flsl.runtime.images import LONGEST, is_ribbon
from results import record
from results.record import Interval, Record

if TYPE_CHECKING:  # torch takes seconds
    from eval.propagation.workers import Task

PREDICTIONS, CONFIG = "predictions", "config.py"
V = TypeVar("V", bound=Video)


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Predictions that wait for their score: their folder, the record's protocol, whose they are, how they were made."""

    folder: Path
    protocol: str
    model: Predictor
    config: dict[str, Any]

    @property
    def title(self) -> str:
        """Of pictures: who made them, by which protocol."""
        return f"{self.model.model['name']}, {self.protocol}"


@dataclasses.dataclass(frozen=True)
class Evaluation(Generic[V]):
    """A benchmark's run on chosen videos of a data set.

    Attributes:
        run: its output folder and record.
        options: of the run.
        protocols: by name.
        dataset: the split.
        videos: those that are evaluated.
        files: names of a video's predictions in its folder.
        what: they are, in the plural.
        outputs: names of what scoring writes besides the record.
        score: scores all predictions; it returns the record by `finish`.
    """

    run: Run
    options: Options
    protocols: Mapping[str, Protocol]
    dataset: VideoData[V]
    videos: Sequence[V]
    files: Callable[[V], Iterable[str]]
    what: str
    outputs: Sequence[str]
    score: "Callable[[Evaluation[V], Predicted], Record]"

    def predict(
        self, encoder: AnyEncoder, protocol: Protocol, task: "Task | None" = None, *, extras: bool = False
    ) -> Record:
        """Predict what is still to do, then score.

        Args:
            encoder: a checkpoint's name, or an encoder in memory.
            protocol: the one that the options name.
            task: writes the predictions of one video; masks by default.
            extras: whether more is written than a plain run writes.

        Raises:
            UserError: the checkpoint cannot be used, or `run.out` holds another run.
        """
        from eval.propagation.segment import segment_video  # torch takes seconds
        from eval.propagation.workers import follow_videos

        options = self.options
        loaded, model = load_predictor(self.run, encoder, self.run.choose_device())
        self._require_tokens(protocol, loaded.encoder.patch_size)
        config = {"protocol": dataclasses.asdict(protocol), "split": options.split, "precision": options.precision}
        identity = {"encoder": model.identity, **config, "data": self._data(frames=True)}
        outputs = [PREDICTIONS, CONFIG, *self.outputs]
        with self.run.claim(identity, part=self._part(), extras=extras, outputs=outputs) as state:
            if state == "done":
                return self.run.kept()
            write_text(self.run.out / CONFIG, dump_config(config))
            predictions = self.run.out / PREDICTIONS
            todo = [video for video in self.videos if not self._finished(video, predictions)]
            follow_videos(
                loaded.encoder,
                todo,
                protocol,
                predictions,
                task or segment_video,
                device=self.run.device,
                bfloat16=options.precision == "bf16",
                processes=options.processes,
                watch=self.run.watch,
            )
            model.warnings.extend(self._caveats(protocol, loaded.encoder.patch_size, options.precision))
            return self.score(self, Predicted(predictions, protocol.key(self.dataset.benchmark), model, config))

    def score_saved(self, predictions: Path, encoder: "AnyEncoder | None", outside: str) -> Record:
        """Score predictions that are there, anyone's.

        Protocol and constants are those of the run that made them, if this program did; else `options.protocol` where an
        encoder is named, and otherwise `outside`, which says that only the metric is known.
        """
        paths = [predictions / video.name / name for video in self.videos for name in self.files(video)]
        model = predictor(self.run, encoder, predictions, paths, "method")
        name, config = outside, {"split": self.options.split, "predictions": str(predictions)}
        if model.record is not None:
            if model.record.benchmark != self.run.benchmark.key:
                raise UserError(
                    f"{predictions} was made for {model.record.benchmark}, says the {RECORD} beside it, not for "
                    f"{self.run.benchmark.key}. Name predictions for these {self.run.benchmark.item}."
                )
            # The protocol's benchmark is that of the data: masks of DAVIS 2017's frames may be scored on 2016's annotations.
            name, config = model.record.protocol.partition("/")[2], model.record.config
        elif encoder is not None:
            protocol = find_protocol(self.options.protocol, self.protocols)
            name = f"{protocol.name}@{protocol.version}"
        identity = {"data": self._data(frames=False)}
        outputs = [CONFIG, *self.outputs]
        with claim_scoring(self.run, predictions, model, identity, part=self._part(), outputs=outputs):
            if not (self.run.out / CONFIG).is_file():
                write_text(self.run.out / CONFIG, dump_config(config))
            return self.score(self, Predicted(predictions, f"{self.dataset.benchmark}/{name}", model, config))

    def finish(
        self,
        predicted: Predicted,
        *,
        values: Mapping[str, float | None],
        intervals: Mapping[str, Interval | None],
        per_item: dict[str, dict[str, float]],
        files: dict[str, str],
        warnings: Sequence[str] = (),
        tools: Mapping[str, str] | None = None,
        scored: bool = True,
    ) -> Record:
        """Write the record of predictions; see `eval.run.Run.finish`. Where they cannot be scored it counts none as evaluated."""
        kept = {"config": CONFIG}
        if predicted.folder.resolve() == (self.run.out / PREDICTIONS).resolve():
            kept["predictions"] = PREDICTIONS
        return self.run.finish(
            model=predicted.model.model,
            protocol=predicted.protocol,
            dataset=record.Dataset(
                name=self.dataset.name,
                split=self.dataset.split,
                official=self.dataset.official,
                items_expected=len(self.dataset.videos),
                items_evaluated=len(self.videos) if scored else 0,
                item=self.run.benchmark.item,
                annotation_sha256=self.dataset.annotation_sha256,
            ),
            values=values,
            intervals=intervals,
            items=len(self.videos),
            config=predicted.config,
            per_item=per_item,
            files=kept | files,
            warnings=[*predicted.model.warnings, *warnings],
            tools=tools or {},
        )

    def _data(self, frames: bool) -> dict[str, str]:
        """Return what tells a copy of the data from another: every annotation and, where they are used, every frame."""
        data = self.dataset
        identity = {"split": data.split, "annotations": data.annotation_sha256}
        if frames:
            paths = [path for video in data.videos for path in video.frames]
            identity["frames"] = digest_of_files(data.root, paths, contents=True)
        return identity

    def _part(self) -> list[str] | None:
        return [video.name for video in self.videos] if len(self.videos) < len(self.dataset.videos) else None

    def _finished(self, video: V, predictions: Path) -> bool:
        """Whether all predictions of a video are there from an earlier run; says so."""
        folder = predictions / video.name
        done = all((folder / name).is_file() for name in self.files(video))
        if done:
            print(f"skipped {video.name}: its {len(video.frames)} {self.what} are in {folder}")
        return done

    def _require_tokens(self, protocol: Protocol, patch_size: int) -> None:
        """Raise UserError for a video whose resized frames are smaller than a patch, or too long for any memory."""
        for video in self.videos:
            size = protocol.size(*video.size, patch_size)
            if not all(size):
                height, width = protocol.size(*video.size)
                raise UserError(
                    f"patches of {patch_size} are larger than frames of {protocol.name!r}: those of {video.name} become "
                    f"{width}x{height}. Choose an encoder of smaller patches."
                )
            if is_ribbon(size):
                raise UserError(
                    f"frames of {video.name} are {video.size[1]}x{video.size[0]} pixels, which {protocol.name!r} makes "
                    f"{size[1]}x{size[0]}: more than {LONGEST} times as long as wide, and too many tokens to follow. Cut them, "
                    "or leave the video out."
                )

    def _caveats(self, protocol: Protocol, patch_size: int, precision: str) -> list[str]:
        said = []
        if any(protocol.size(*v.size, patch_size) != protocol.frame.size(*v.size, patch_size) for v in self.videos):
            said.append(
                f"patches of {patch_size} do not divide the frames of {protocol.name!r}: the sides of frames are floored to what "
                "they divide, so that no figure of other patches has the same input"
            )
        if precision != "fp32":
            said.append(f"features computed in {precision}: {self.what} differ a little from float32's")
        return said
