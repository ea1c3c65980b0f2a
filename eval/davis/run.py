"""A DAVIS run: segment the videos that are still to do, score the masks, write tables, pictures and the record.

python -m eval davis --checkpoint CHECKPOINT --data DIR --out DIR
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, Literal

from eval.davis.dataset import Dataset, Video, open_dataset
from eval.davis.overlay import object_rows, write_animation, write_sheet
from eval.davis.protocol import get_protocol
from eval.davis.scoring import VideoScore, global_score, global_scores, score_videos, sums_over_objects, write_objects
from eval.predictor import Predictor, claim_scoring, load_predictor, predictor
from eval.progress import tracked
from eval.run import AnyEncoder, Run
from flsl.runtime.config import dump_config
from flsl.runtime.files import digest_of_files, write_text
from flsl.runtime.schema import PositiveInt, section
from results import record
from results.bootstrap import percentile_interval

PREDICTIONS = "predictions"
TABLES = ("objects.csv", "overlay.png", "overlays", "config.py")  # what scoring writes
# Protocol of masks whose method is not ours: only the metric is known.
OUTSIDE_PROTOCOL = "semi-supervised@1"
SHEET_ROWS = 6  # objects on the picture that every record has


@section
class Options:
    """What can be chosen; nothing here but `protocol`, `split` and `precision` changes a mask."""

    protocol: str = "dino"
    split: str = "val"  # list of sequences
    videos: tuple[str, ...] | None = None  # only these; the record is partial
    limit: PositiveInt | None = None  # only the first so many; the record is partial
    overlay: bool = False  # a sheet and an animation of every sequence too
    processes: PositiveInt = 1  # that share the sequences, and the GPUs
    precision: Literal["fp32", "bf16"] = "fp32"  # of the encoder
    metric_backend: Literal["packed", "official"] = "packed"


def evaluate(encoder: AnyEncoder, data: Path, run: Run, options: Options) -> record.Record:
    """Segment every video with the encoder, then score.

    Raises:
        UserError: data or checkpoint cannot be used, or `run.out` holds another run.
    """
    protocol = get_protocol(options.protocol)
    dataset = open_dataset(data, options.split)
    videos = dataset.choose(options.videos, options.limit)
    # Importing torch takes seconds: not before the folders are known to be there.
    from eval.davis.workers import segment_videos

    loaded, model = load_predictor(run, encoder, run.choose_device())
    config = {"protocol": dataclasses.asdict(protocol), "split": dataset.split, "precision": options.precision}
    identity = {"encoder": model.identity, **config, "data": _data_identity(dataset, frames=True)}
    part = _part(dataset, videos)
    with run.claim(identity, part=part, extras=options.overlay, outputs=[PREDICTIONS, *TABLES]) as state:
        if state == "done":
            return run.kept()
        write_text(run.out / "config.py", dump_config(config))
        predictions = run.out / PREDICTIONS
        segment_videos(
            loaded.encoder,
            [video for video in videos if not _finished(video, predictions)],
            protocol,
            predictions,
            device=run.device,
            bfloat16=options.precision == "bf16",
            processes=options.processes,
            watch=run.watch,
        )
        if protocol.short_side % loaded.encoder.patch_size:
            model.warnings.append(
                f"patches of {loaded.encoder.patch_size} do not divide the {protocol.short_side} pixels of {protocol.name!r}: the sides "
                "of frames are floored to what they divide, so that no figure of other patches has the same input"
            )
        if options.precision != "fp32":
            model.warnings.append(
                f"features computed in {options.precision}: masks differ in a few pixels from float32's"
            )
        return _score(run, options, dataset, videos, predictions, protocol.key(dataset.edition.name), model, config)


def score(
    predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Options
) -> record.Record:
    """Score masks, anyone's: `<sequence>/<frame>.png` with the object id as index.

    Protocol and constants are those of the run that made the masks, if this program did; else `options.protocol` where
    an encoder is named, and otherwise unknown.

    Raises:
        UserError: data or masks are missing or malformed.
    """
    predictions = run.saved(predictions, PREDICTIONS, "one folder of PNGs a sequence")
    dataset = open_dataset(data, options.split, need_frames=False)
    videos = dataset.choose(options.videos, options.limit)
    masks = [predictions / video.name / mask.name for video in videos for mask in video.scored_masks]
    model = predictor(run, encoder, predictions, masks, "method")
    protocol = f"{dataset.edition.name}/{OUTSIDE_PROTOCOL}"
    config: dict[str, Any] = {"split": dataset.split, "predictions": str(predictions)}
    if model.record is not None:
        # The edition is that of the data: masks of 2017's frames may be scored on 2016's annotations.
        protocol = f"{dataset.edition.name}/{model.record.protocol.partition('/')[2]}"
        config = model.record.config
    elif encoder is not None:
        protocol = get_protocol(options.protocol).key(dataset.edition.name)
    identity = {"data": _data_identity(dataset, frames=False)}
    with claim_scoring(run, predictions, model, identity, part=_part(dataset, videos), outputs=TABLES):
        if not (run.out / "config.py").is_file():
            write_text(run.out / "config.py", dump_config(config))
        return _score(run, options, dataset, videos, predictions, protocol, model, config)


def _data_identity(dataset: Dataset, frames: bool) -> dict[str, str]:
    """Return what tells a copy of the data from another: every annotation and, where they are used, every frame."""
    identity = {"split": dataset.split, "annotations": dataset.annotation_sha256()}
    if frames:
        paths = [path for video in dataset.videos for path in video.frames]
        identity["frames"] = digest_of_files(dataset.root, paths, contents=True)
    return identity


def _part(dataset: Dataset, videos: list[Video]) -> list[str] | None:
    return [video.name for video in videos] if len(videos) < len(dataset.videos) else None


def _finished(video: Video, predictions: Path) -> bool:
    """Whether all masks of a video are there from an earlier run; says so."""
    done = all((predictions / video.name / mask.name).is_file() for mask in video.masks)
    if done:
        print(f"skipped {video.name}: its {len(video.masks)} masks are in {predictions / video.name}")
    return done


def _score(
    run: Run,
    options: Options,
    dataset: Dataset,
    videos: list[Video],
    predictions: Path,
    protocol: str,
    model: Predictor,
    config: dict[str, Any],
) -> record.Record:
    """Score masks; write objects.csv, overlay.png (more with `overlay`) and the record."""
    out = run.out
    with run.watch.phase("metrics"):
        scored = score_videos(videos, predictions, options.metric_backend)
        scores = list(tracked(scored, "scoring: video", len(videos)))
        sums = sums_over_objects(scores)
        values = global_scores(sums)
        intervals = {
            name: percentile_interval(sums, partial(global_score, name), unit="sequences", seed=run.seed)
            for name in values
        }
    write_objects(scores, out / "objects.csv")
    files = {"config": "config.py", "objects": "objects.csv"}
    if predictions.resolve() == (out / PREDICTIONS).resolve():
        files["predictions"] = PREDICTIONS
    with run.watch.phase("pictures"):
        files |= _draw(videos, scores, predictions, model.model["name"], out, options.overlay)
    return run.finish(
        model=model.model,
        protocol=protocol,
        dataset=record.Dataset(
            name=dataset.name,
            split=dataset.split,
            official=dataset.official,
            items_expected=len(dataset.videos),
            items_evaluated=len(videos),
            item=run.benchmark.item,
            annotation_sha256=dataset.annotation_sha256(),
        ),
        values=values,
        intervals=intervals,
        items=len(videos),
        config=config,
        per_item={score.name: global_scores(row[None]) for score, row in zip(scores, sums)},
        files=files,
        warnings=model.warnings + [text for score in scores for text in score.warnings],
        tools={"metric_backend": options.metric_backend},
    )


def _draw(
    videos: list[Video], scores: list[VideoScore], predictions: Path, name: str, out: Path, everything: bool
) -> dict[str, str]:
    """Write the picture of the worst objects, one a video; with `everything` a sheet and an animation a video too."""
    rows = object_rows(videos, scores)
    worst = list({row.video.name: row for row in reversed(rows)}.values())[::-1]
    write_sheet(sorted(worst, key=lambda row: row.score)[:SHEET_ROWS], predictions, name, out / "overlay.png")
    files = {"overlay": "overlay.png"}
    if everything:
        for video in videos:
            mine = [row for row in rows if row.video is video]
            write_sheet(mine, predictions, name, out / "overlays" / f"{video.name}.png")
            write_animation(video, predictions, out / "overlays" / f"{video.name}.webp")
        files["overlays"] = "overlays"
    return files
