"""A YouTube-VOS run: segment the videos that are still to do, write the archive for the server, and score where that can be.

python -m eval ytvos --checkpoint CHECKPOINT --data DIR --out DIR
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from eval.extremes import worst_and_best
from eval.progress import tracked
from eval.propagation import options as propagation
from eval.propagation.evaluation import PREDICTIONS, Evaluation, Predicted
from eval.propagation.sheet import SHOWN, moments, painted_row, write_sheet
from eval.protocol import find_protocol
from eval.run import AnyEncoder, Run
from eval.ytvos.data import Dataset, Video, open_ytvos
from eval.ytvos.files import masks_of
from eval.ytvos.meta import META
from eval.ytvos.protocols import PROTOCOLS
from eval.ytvos.scoring import HEADLINE, MEANS, means_of, read_prediction, score_videos, write_objects
from eval.ytvos.submission import write_submission
from flsl.runtime.errors import UserError
from flsl.runtime.schema import section
from results.bootstrap import percentile_interval
from results.record import Record

TABLE, SHEET, SUBMISSION = "objects.csv", "sheet.png", "submission.zip"
OUTSIDE_PROTOCOL = "semi-supervised@1"  # of masks whose method is not ours: only the metric is known


@section
class Options(propagation.Options):
    """What every label propagation has."""

    protocol: str = "dino"
    split: str = "valid"


def evaluate(encoder: AnyEncoder, data: Path, run: Run, options: Options) -> Record:
    """Segment every video with the encoder, write the archive, and score where ground truth is at hand.

    Raises:
        UserError: data or checkpoint cannot be used, or `run.out` holds another run.
    """
    protocol = find_protocol(options.protocol, PROTOCOLS)  # a misspelt one is said before the data are read
    return _prepare(run, open_ytvos(data, options.split), options, with_all=True).predict(encoder, protocol)


def score(predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Options) -> Record:
    """Score masks, anyone's: `<video>/<frame>.png` with the object's number as index.

    Raises:
        UserError: data or masks are missing or malformed, or the split has no ground truth.
    """
    predictions = run.saved(predictions, PREDICTIONS, "one folder of PNGs a video")
    dataset = open_ytvos(data, options.split, need_frames=False)
    if not dataset.has_truth:
        raise UserError(
            f"--split {options.split} of {data} has masks of objects' first frames alone: there is nothing to score with. Send "
            f"the {SUBMISSION} of the run to the benchmark's server, or choose a split with all masks, such as train."
        )
    return _prepare(run, dataset, options, with_all=False).score_saved(predictions, encoder, OUTSIDE_PROTOCOL)


def _prepare(run: Run, dataset: Dataset, options: Options, *, with_all: bool) -> Evaluation[Video]:
    """Return the run on the chosen videos; its files are masks of all frames, or of those that are scored.

    Raises UserError where there is ground truth but no frame to score: that is said before anything is computed.
    """
    videos = dataset.choose(options.limit)
    if dataset.has_truth and not any(video.scored for video in videos):
        few = f" of the first {options.limit} videos" if len(videos) < len(dataset.videos) else ""
        raise UserError(
            f"{dataset.root / masks_of(dataset.split) / META}: every object{few} appears in the last listed frame of its video, "
            f"so there is nothing to score. Choose {'a larger --limit' if few else 'another --split'}."
        )
    return Evaluation(
        run,
        options,
        PROTOCOLS,
        dataset,
        videos,
        files=lambda video: [
            mask.name for mask in (video.masks if with_all else map(video.masks.__getitem__, video.scored))
        ],
        what="masks",
        outputs=(TABLE, SHEET, SUBMISSION),
        score=partial(_finish, dataset, submitted=with_all),
    )


def _finish(dataset: Dataset, evaluation: Evaluation[Video], predicted: Predicted, *, submitted: bool) -> Record:
    """Write the archive of a whole split that was predicted here, now or earlier, and what the scores say, or that there are none."""
    run, videos, files = evaluation.run, evaluation.videos, {}
    if (submitted or run.earlier) and len(videos) == len(dataset.videos):
        with run.watch.phase("submission"):
            count = write_submission(videos, predicted.folder, run.out / SUBMISSION)
        files["submission"] = SUBMISSION
        print(f"{run.out / SUBMISSION}: {count:,} masks, one a listed frame, for the benchmark's server")
    if not dataset.has_truth:
        said = f"not scored: {dataset.split} has masks of objects' first frames alone, no ground truth of later ones"
        print(said)
        return evaluation.finish(
            predicted, values={HEADLINE: None}, intervals={}, per_item={}, files=files, warnings=[said], scored=False
        )
    return _score(dataset, evaluation, predicted, files)


def _score(dataset: Dataset, evaluation: Evaluation[Video], predicted: Predicted, files: dict[str, str]) -> Record:
    """Score masks; write table, picture and record."""
    run, videos = evaluation.run, evaluation.videos
    with run.watch.phase("metrics"):
        scores = list(tracked(score_videos(videos, predicted.folder), "scoring: video", len(videos)))
        rows = {score.name: row for score in scores if (row := score.row(dataset.seen))[4:].any()}
        table = np.stack(list(rows.values()))  # (videos, 6)
        values = {name: value if np.isfinite(value) else None for name, value in means_of(table).items()}
        intervals = {
            name: percentile_interval(_having(name, table), partial(_at, name), unit="videos", seed=run.seed)
            for name, value in values.items()
            if value is not None
        }
    write_objects(scores, dataset.seen, run.out / TABLE)
    per_item = {
        name: {metric: value for metric, value in means_of(row[None]).items() if np.isfinite(value)}
        for name, row in rows.items()
    }
    with run.watch.phase("pictures"):
        ranked = sorted((v for v in videos if v.name in rows), key=lambda video: per_item[video.name][HEADLINE])
        shown = worst_and_best(ranked, SHOWN, SHOWN)
        _draw(shown, predicted, {name: scored[HEADLINE] for name, scored in per_item.items()}, run.out / SHEET)
    return evaluation.finish(
        predicted,
        values=values,
        intervals=intervals,
        per_item=per_item,
        files=files | {"objects": TABLE, "sheet": SHEET},
        warnings=_warnings(values),
    )


def _having(name: str, rows: np.ndarray) -> np.ndarray:
    """Return the rows of videos that hold objects which a metric averages: a resample of others would have no mean."""
    return rows if name == HEADLINE else rows[rows[:, 4 + MEANS.index(name) % 2] > 0]


def _at(name: str, rows: np.ndarray) -> float:
    """Return one of METRICS."""
    return means_of(rows)[name]


def _warnings(values: Mapping[str, float | None]) -> list[str]:
    """Say that G is a mean of two, where objects of seen or of unseen categories are missing."""
    lacking = [name for name in ("seen", "unseen") if values[f"J_{name}"] is None]
    return (
        [f"no object of a category that is {lacking[0]} in training: G is the mean of the other J and F"]
        if lacking
        else []
    )


def _draw(videos: Sequence[Video], predicted: Predicted, scores: Mapping[str, float], path: Path) -> None:
    """Write a sheet of videos, from worst to best: prediction above ground truth, over the scored frames."""

    def both(video: Video, index: int) -> tuple[np.ndarray, np.ndarray]:
        return read_prediction(video, index, predicted.folder / video.name), video.read_truth(index)

    rows = []
    for video in videos:
        shown = [video.scored[at] for at in moments(len(video.scored))]
        rows.append(painted_row(f"{video.name}: G {scores[video.name]:.1f}", video, shown, partial(both, video)))
    write_sheet(rows, f"{predicted.title}, worst first: prediction above, ground truth below", path)
