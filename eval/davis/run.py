"""A DAVIS run: segment the videos that are still to do, score the masks, write tables, pictures and the record.

python -m eval davis --checkpoint CHECKPOINT --data DIR --out DIR
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from eval.davis.dataset import Video, open_dataset
from eval.davis.overlay import object_rows, write_animation, write_objects_sheet
from eval.davis.protocols import PROTOCOLS
from eval.davis.scoring import VideoScore, global_score, global_scores, score_videos, sums_over_objects, write_objects
from eval.progress import tracked
from eval.propagation import options as propagation
from eval.propagation.evaluation import PREDICTIONS, Evaluation, Predicted
from eval.protocol import find_protocol
from eval.run import AnyEncoder, Run
from flsl.runtime.schema import section
from results.bootstrap import percentile_interval
from results.record import Record

TABLES = ("objects.csv", "overlay.png", "overlays")  # what scoring writes
# Protocol of masks whose method is not ours: only the metric is known.
OUTSIDE_PROTOCOL = "semi-supervised@1"
SHEET_ROWS = 6  # objects on the picture that every record has


@section
class Options(propagation.Options):
    """What can be chosen besides what every label propagation has; it changes no mask."""

    protocol: str = "dino"
    videos: tuple[str, ...] | None = None  # only these; the record is partial
    overlay: bool = False  # a sheet and an animation of every sequence too
    metric_backend: Literal["packed", "official"] = "packed"


def evaluate(encoder: AnyEncoder, data: Path, run: Run, options: Options) -> Record:
    """Segment every video with the encoder, then score.

    Raises:
        UserError: data or checkpoint cannot be used, or `run.out` holds another run.
    """
    protocol = find_protocol(options.protocol, PROTOCOLS)  # a misspelt one is said before the data are read
    return _prepare(run, data, options, need_frames=True).predict(encoder, protocol, extras=options.overlay)


def score(predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Options) -> Record:
    """Score masks, anyone's: `<sequence>/<frame>.png` with the object id as index.

    Raises:
        UserError: data or masks are missing or malformed.
    """
    predictions = run.saved(predictions, PREDICTIONS, "one folder of PNGs a sequence")
    return _prepare(run, data, options, need_frames=False).score_saved(predictions, encoder, OUTSIDE_PROTOCOL)


def _prepare(run: Run, data: Path, options: Options, *, need_frames: bool) -> Evaluation[Video]:
    """Open the data; returns the run on the chosen videos."""
    dataset = open_dataset(data, options.split, need_frames)
    return Evaluation(
        run,
        options,
        PROTOCOLS,
        dataset,
        dataset.choose(options.limit, options.videos),
        files=lambda video: [mask.name for mask in (video.masks if need_frames else video.scored_masks)],
        what="masks",
        outputs=TABLES,
        score=partial(_score, options),
    )


def _score(options: Options, evaluation: Evaluation[Video], predicted: Predicted) -> Record:
    """Score masks; write objects.csv, overlay.png (more with `overlay`) and the record."""
    run, videos, masks = evaluation.run, evaluation.videos, predicted.folder
    with run.watch.phase("metrics"):
        scored = score_videos(videos, masks, options.metric_backend)
        scores = list(tracked(scored, "scoring: video", len(videos)))
        sums = sums_over_objects(scores)
        values = global_scores(sums)
        intervals = {
            name: percentile_interval(sums, partial(global_score, name), unit="sequences", seed=run.seed)
            for name in values
        }
    write_objects(scores, run.out / "objects.csv")
    with run.watch.phase("pictures"):
        pictures = _draw(videos, scores, masks, predicted.model.model["name"], run.out, options.overlay)
    return evaluation.finish(
        predicted,
        values=values,
        intervals=intervals,
        per_item={score.name: global_scores(row[None]) for score, row in zip(scores, sums)},
        files={"objects": "objects.csv", **pictures},
        warnings=[text for score in scores for text in score.warnings],
        tools={"metric_backend": options.metric_backend},
    )


def _draw(
    videos: Sequence[Video], scores: list[VideoScore], predictions: Path, name: str, out: Path, everything: bool
) -> dict[str, str]:
    """Write the picture of the worst objects, one a video; with `everything` a sheet and an animation a video too."""
    rows = object_rows(videos, scores)
    worst = list({row.video.name: row for row in reversed(rows)}.values())[::-1]
    write_objects_sheet(sorted(worst, key=lambda row: row.score)[:SHEET_ROWS], predictions, name, out / "overlay.png")
    files = {"overlay": "overlay.png"}
    if everything:
        for video in videos:
            mine = [row for row in rows if row.video is video]
            write_objects_sheet(mine, predictions, name, out / "overlays" / f"{video.name}.png")
            write_animation(video, predictions, out / "overlays" / f"{video.name}.webp")
        files["overlays"] = "overlays"
    return files
