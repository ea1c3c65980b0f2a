"""A JHMDB run: follow the joints of the clips that are still to do, score the poses, write table, picture and record.

python -m eval jhmdb --checkpoint CHECKPOINT --data DIR --out DIR
"""

from functools import partial
from pathlib import Path

import numpy as np

from eval.extremes import worst_and_best
from eval.jhmdb.data import JOINTS, Clip, open_jhmdb
from eval.jhmdb.pictures import write_pictures
from eval.jhmdb.poses import FILE, follow_clip, read_poses
from eval.jhmdb.protocols import PROTOCOLS
from eval.jhmdb.scoring import SHARES, Counts, count, pck, pck_of, total_of
from eval.propagation import options as propagation
from eval.propagation.evaluation import PREDICTIONS, Evaluation, Predicted
from eval.propagation.sheet import SHOWN
from eval.protocol import find_protocol
from eval.run import AnyEncoder, Run
from eval.table import write_table
from flsl.runtime.errors import UserError
from flsl.runtime.schema import section
from results.bootstrap import percentile_interval
from results.record import Record

TABLE, SHEET = "joints.csv", "sheet.png"
OUTSIDE_PROTOCOL = "poses@1"  # of poses whose method is not ours: only the metric is known
METRICS = tuple(f"PCK@{share}" for share in SHARES)


@section
class Options(propagation.Options):
    """What every label propagation has."""

    protocol: str = "cropmae"
    split: str = "test"


def evaluate(encoder: AnyEncoder, data: Path, run: Run, options: Options) -> Record:
    """Follow the joints of every clip with the encoder, then score.

    Raises:
        UserError: data or checkpoint cannot be used, or `run.out` holds another run.
    """
    protocol = find_protocol(options.protocol, PROTOCOLS)  # a misspelt one is said before the data are read
    return _prepare(run, data, options, need_frames=True).predict(encoder, protocol, follow_clip)


def score(predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Options) -> Record:
    """Score poses, anyone's: `<action>/<clip>/poses.json`, see `eval.jhmdb.poses`.

    Raises:
        UserError: data or poses are missing or malformed.
    """
    predictions = run.saved(predictions, PREDICTIONS, f"<action>/<clip>/{FILE}")
    return _prepare(run, data, options, need_frames=False).score_saved(predictions, encoder, OUTSIDE_PROTOCOL)


def _prepare(run: Run, data: Path, options: Options, *, need_frames: bool) -> Evaluation[Clip]:
    """Open the data; returns the run on the chosen clips."""
    dataset = open_jhmdb(data, options.split, need_frames)
    return Evaluation(
        run,
        options,
        PROTOCOLS,
        dataset,
        dataset.choose(options.limit),
        files=lambda clip: [FILE],
        what="poses",
        outputs=(TABLE, SHEET),
        score=_score,
    )


def _score(evaluation: Evaluation[Clip], predicted: Predicted) -> Record:
    """Score poses; write table, picture and record."""
    run, clips = evaluation.run, evaluation.videos
    with run.watch.phase("metrics"):
        poses = {clip.name: read_poses(predicted.folder / clip.name / FILE, len(clip.joints)) for clip in clips}
        counts = {clip.name: count(clip.joints, poses[clip.name]) for clip in clips}
        # Clips without a judged joint add nothing, and many resamples of few clips would be of such alone.
        counts = {name: counted for name, counted in counts.items() if counted.judged.any()}
        if not counts:
            raise UserError(f"{predicted.folder}: no joint of any clip is followed, so that there is nothing to score")
        total, rows = total_of(list(counts.values())), np.stack([counted.rows() for counted in counts.values()])
        values = dict(zip(METRICS, pck_of(rows).tolist()))
        intervals = {
            name: percentile_interval(rows, partial(_at, at), unit="clips", seed=run.seed)
            for at, name in enumerate(METRICS)
        }
    write_table(run.out / TABLE, _joint_rows(total))
    per_item = {name: dict(zip(METRICS, pck([counted]).tolist())) for name, counted in counts.items()}
    with run.watch.phase("pictures"):
        scores = {name: metrics[METRICS[0]] for name, metrics in per_item.items()}
        ranked = sorted(clips, key=lambda clip: scores.get(clip.name, -1.0))
        write_pictures(worst_and_best(ranked, SHOWN, SHOWN), poses, scores, predicted.title, run.out / SHEET)
    return evaluation.finish(
        predicted,
        values=values,
        intervals=intervals,
        per_item=per_item,
        files={"joints": TABLE, "sheet": SHEET},
        warnings=_warnings(total),
    )


def _at(at: int, rows: np.ndarray) -> float:
    """Return the PCK of rows of `Counts.rows` at one of SHARES."""
    return float(pck_of(rows)[at])


def _joint_rows(total: Counts) -> list[dict[str, object]]:
    """Return a row for each joint: its share of right places at each distance (None where it is never followed)."""
    return [
        {"joint": name, "judged": judged}
        | {metric: 100.0 * hits / judged if judged else None for metric, hits in zip(METRICS, right)}
        for name, judged, right in zip(JOINTS, total.judged.tolist(), total.right.tolist())
    ]


def _warnings(total: Counts) -> list[str]:
    """Say which joints are in no mean."""
    without = [name for name, judged in zip(JOINTS, total.judged.tolist()) if not judged]
    return [f"joints that are followed in no clip are left out of the mean: {', '.join(without)}"] if without else []
