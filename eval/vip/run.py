"""A VIP run: segment the videos that are still to do, score the masks, write table, picture and record.

python -m eval vip --checkpoint CHECKPOINT --data DIR --out DIR
"""

from functools import partial
from pathlib import Path

from eval.extremes import worst_and_best
from eval.metrics.segmentation import class_rows
from eval.propagation import options as propagation
from eval.propagation.evaluation import PREDICTIONS, Evaluation, Predicted
from eval.propagation.sheet import SHOWN
from eval.protocol import find_protocol
from eval.run import AnyEncoder, Run
from eval.table import write_table
from eval.vip.data import CLASSES, Video, open_vip
from eval.vip.protocols import PROTOCOLS
from eval.vip.scoring import score_videos, write_pictures
from flsl.confusion import mean_iou
from flsl.runtime.schema import section
from results.record import Record

TABLE, SHEET = "parts.csv", "sheet.png"
OUTSIDE_PROTOCOL = "parts@1"  # of masks whose method is not ours: only the metric is known


@section
class Options(propagation.Options):
    """What every label propagation has."""

    protocol: str = "cropmae"


def evaluate(encoder: AnyEncoder, data: Path, run: Run, options: Options) -> Record:
    """Follow the parts of every video with the encoder, then score.

    Raises:
        UserError: data or checkpoint cannot be used, or `run.out` holds another run.
    """
    protocol = find_protocol(options.protocol, PROTOCOLS)  # a misspelt one is said before the data are read
    return _prepare(run, data, options, need_frames=True).predict(encoder, protocol)


def score(predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Options) -> Record:
    """Score masks, anyone's: `<video>/<number>.png` with the part's id as value.

    Raises:
        UserError: data or masks are missing or malformed.
    """
    predictions = run.saved(predictions, PREDICTIONS, "one folder of PNGs a video")
    return _prepare(run, data, options, need_frames=False).score_saved(predictions, encoder, OUTSIDE_PROTOCOL)


def _prepare(run: Run, data: Path, options: Options, *, need_frames: bool) -> Evaluation[Video]:
    """Open the data; returns the run on the chosen videos."""
    dataset = open_vip(data, options.split, need_frames)
    return Evaluation(
        run,
        options,
        PROTOCOLS,
        dataset,
        dataset.choose(options.limit),
        files=lambda video: [mask.name for mask in video.masks],
        what="masks",
        outputs=(TABLE, SHEET),
        score=_score,
    )


def _score(evaluation: Evaluation[Video], predicted: Predicted) -> Record:
    """Score masks; write table, picture and record."""
    run, videos = evaluation.run, evaluation.videos
    statistic = partial(mean_iou, absent="left out")
    with run.watch.phase("metrics"):
        scores = score_videos(videos, predicted.folder)
        total, interval = scores.total(), scores.interval(statistic, seed=run.seed)
    write_table(run.out / TABLE, class_rows(total, CLASSES))
    of_videos = ((name, scores.image_score(number)) for number, name in enumerate(scores.names))
    scored = {name: score for name, score in of_videos if score is not None}
    with run.watch.phase("pictures"):
        ranked = sorted((video for video in videos if video.name in scored), key=lambda video: scored[video.name])
        write_pictures(worst_and_best(ranked, SHOWN, SHOWN), predicted.folder, scored, predicted.title, run.out / SHEET)
    return evaluation.finish(
        predicted,
        values={"mIoU": statistic(total)},
        intervals={"mIoU": interval},
        per_item={name: {"mIoU": score} for name, score in scored.items()},
        files={"parts": TABLE, "sheet": SHEET},
    )
