"""A JHMDB run: follow the joints of the clips that are still to do, score the poses, write table, picture and record.

python -m eval jhmdb --checkpoint CHECKPOINT --data DIR --out DIR
"""

from functools import partial
from pathlib import Path

import numpy as np

from eval.jhmdb.data import JOINTS, Clip, open_jhmdb
from eval.jhmdb.pictures import write_pictures
from eval.jhmdb.poses import FILE, follow_clip, read_poses
from eval.jhmdb.protocols import PROTOCOLS
from eval.jhmdb.scoring import SHARES, Counts, count, pck, pck_of
from eval.propagation import options as propagation
from eval.propagation.evaluation import PREDICTIONS, Evaluation, Finish, Predicted
from eval.protocol import find_protocol
from eval.run import AnyEncoder, Run
from eval.table import write_table
from flsl.runtime.errors import UserError
from flsl.runtime.schema import section
from results.bootstrap import percentile_interval
from results.record import Record

TABLE, SHEET = "joints.csv", "sheet.png"
OUTSIDE_PROTOCOL = "poses@1"  # of poses whose method is not ours: only the metric is known
SHOWN = 3  # clips of the picture that are worst, and that are best
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
    find_protocol(options.protocol, PROTOCOLS)  # a misspelt one is said before the data are read
    evaluation, finish = _prepare(run, data, options, need_frames=True)
    return evaluation.predict(encoder, options, follow_clip, finish)


def score(predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Options) -> Record:
    """Score poses, anyone's: `<action>/<clip>/poses.json`, see `eval.jhmdb.poses`.

    Raises:
        UserError: data or poses are missing or malformed.
    """
    predictions = run.saved(predictions, PREDICTIONS, f"<action>/<clip>/{FILE}")
    evaluation, finish = _prepare(run, data, options, need_frames=False)
    return evaluation.score(predictions, encoder, options, OUTSIDE_PROTOCOL, finish)


def _prepare(run: Run, data: Path, options: Options, *, need_frames: bool) -> tuple[Evaluation[Clip], Finish]:
    """Open the data; returns the run on the chosen clips, and what scores its poses."""
    dataset = open_jhmdb(data, options.split, need_frames)
    evaluation = Evaluation(
        run,
        PROTOCOLS,
        dataset,
        dataset.choose(options.limit),
        files=lambda clip: [FILE],
        what="poses",
        outputs=(TABLE, SHEET),
    )
    return evaluation, partial(_score, evaluation)


def _score(evaluation: Evaluation[Clip], predicted: Predicted) -> Record:
    """Score poses; write table, picture and record."""
    run, clips = evaluation.run, evaluation.videos
    with run.watch.phase("metrics"):
        poses = {clip.name: read_poses(predicted.folder / clip.name / FILE, len(clip.joints)) for clip in clips}
        counts = [count(clip.joints, poses[clip.name]) for clip in clips]
        values = dict(zip(METRICS, pck(counts).tolist()))
        if not np.isfinite(list(values.values())).all():
            raise UserError(f"{predicted.folder}: no joint of any clip is followed, so that there is nothing to score")
        rows = np.stack([counted.rows() for counted in counts])
        intervals = {
            name: percentile_interval(rows, partial(_at, at), unit="clips", seed=run.seed)
            for at, name in enumerate(METRICS)
        }
    write_table(run.out / TABLE, _joint_rows(counts))
    per_item = {
        clip.name: dict(zip(METRICS, pck([counted]).tolist()))
        for clip, counted in zip(clips, counts)
        if counted.judged.any()
    }
    with run.watch.phase("pictures"):
        scores = {name: metrics[METRICS[0]] for name, metrics in per_item.items()}
        ranked = sorted(clips, key=lambda clip: scores.get(clip.name, -1.0))
        shown = ranked if len(ranked) <= 2 * SHOWN else [*ranked[:SHOWN], *ranked[-SHOWN:]]
        title = f"{predicted.model.model['name']}, {predicted.protocol}, worst first"
        write_pictures(shown, poses, scores, title, run.out / SHEET)
    return evaluation.finish(
        predicted,
        values=values,
        intervals=intervals,
        per_item=per_item,
        files={"joints": TABLE, "sheet": SHEET},
        warnings=_warnings(counts),
    )


def _at(at: int, rows: np.ndarray) -> float:
    """Return the PCK of rows of `Counts.rows` at one of SHARES."""
    return float(pck_of(rows)[at])


def _joint_rows(counts: list[Counts]) -> list[dict[str, object]]:
    """Return a row for each joint: its share of right places at each distance (None where it is never followed)."""
    judged = np.sum([counted.judged for counted in counts], axis=0)
    right = np.sum([counted.right for counted in counts], axis=0)
    return [
        {"joint": name, "judged": int(judged[joint])}
        | {
            metric: 100.0 * float(right[joint, at]) / int(judged[joint]) if judged[joint] else None
            for at, metric in enumerate(METRICS)
        }
        for joint, name in enumerate(JOINTS)
    ]


def _warnings(counts: list[Counts]) -> list[str]:
    """Say which joints are in no mean."""
    judged = np.sum([counted.judged for counted in counts], axis=0)
    without = [name for joint, name in enumerate(JOINTS) if not judged[joint]]
    return [f"joints that are followed in no clip are left out of the mean: {', '.join(without)}"] if without else []
