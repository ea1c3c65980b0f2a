"""A DAVIS run: segment the videos that are still to do, score the masks, write tables, pictures and the record."""

import argparse
import dataclasses
import shutil
from pathlib import Path
from typing import Any

from eval.davis.dataset import Dataset, Video, open_dataset
from eval.davis.overlay import object_rows, write_animation, write_sheet
from eval.davis.protocol import get_protocol
from eval.davis.scoring import (
    VideoScore,
    global_scores,
    score_videos,
    sums_over_objects,
    write_objects,
)
from eval.run import Stopwatch, finish_record, outside_model
from flsl.runtime.config import dump_config
from flsl.runtime.device import choose_device
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from results import record
from results.bootstrap import percentile_interval
from results.store import read_record

PREDICTIONS = "predictions"
# Protocol of masks whose method is not ours: only the metric is known.
OUTSIDE_PROTOCOL = "davis2017/semi-supervised@1"
SHEET_ROWS = 6  # objects on the picture that every record has


def segment_and_score(arguments: argparse.Namespace) -> None:
    """Segment with the encoder of --checkpoint, then score.

    Raises:
        UserError: data or checkpoint cannot be used, or --out holds masks of another model or protocol.
    """
    watch = Stopwatch()
    protocol = get_protocol(arguments.protocol)
    dataset = open_dataset(arguments.data, arguments.split)
    videos = dataset.choose(arguments.videos, arguments.limit)
    # Importing torch takes seconds: not before the folders are known to be there.
    from eval.davis.workers import segment_videos
    from flsl.checkpoint import load_encoder

    device = choose_device(arguments.device)
    loaded = load_encoder(arguments.checkpoint, device, seed=arguments.seed)
    model = loaded.model_fields(arguments.name)
    config = {
        "protocol": dataclasses.asdict(protocol),
        "split": dataset.split,
        "precision": arguments.precision,
        "fingerprint": model["fingerprint"],
    }
    _claim(arguments.out, config, overwrite=arguments.when_exists == "overwrite")
    predictions = arguments.out / PREDICTIONS
    waiting = [video for video in videos if not _finished(video, predictions)]
    segment_videos(
        loaded.encoder,
        waiting,
        protocol,
        predictions,
        device=device,
        bfloat16=arguments.precision == "bf16",
        processes=arguments.processes,
        watch=watch,
    )
    warnings = list(loaded.warnings)
    if arguments.precision != "fp32":
        warnings.append(f"features computed in {arguments.precision}: masks differ in a few pixels from float32's")
    _score(arguments, dataset, videos, predictions, protocol.key, model, config, warnings, watch, device)


def score_saved(arguments: argparse.Namespace) -> None:
    """Score the masks in --predictions, anyone's: `<sequence>/<frame>.png` with the object id as index.

    Model and protocol are those of --checkpoint and --protocol; else those of the record beside the masks, if this
    program made them; else an outside method, named by --name or the folder and identified by the hash of its masks.

    Raises:
        UserError: data or masks are missing or malformed.
    """
    watch = Stopwatch()
    predictions = arguments.predictions or arguments.out / PREDICTIONS
    if not predictions.is_dir():
        raise UserError(f"--predictions {predictions} is not a folder; expected in it is one folder of PNGs a sequence")
    dataset = open_dataset(arguments.data, arguments.split, need_frames=False)
    videos = dataset.choose(arguments.videos, arguments.limit)
    warnings: list[str] = []
    protocol, config = OUTSIDE_PROTOCOL, {"split": dataset.split, "predictions": str(predictions)}
    beside = predictions.resolve().parent / "record.json"
    made_here = read_record(beside) if beside.is_file() else None
    if arguments.checkpoint is not None:
        from flsl.checkpoint import load_encoder

        loaded = load_encoder(arguments.checkpoint, seed=arguments.seed)
        model, warnings = loaded.model_fields(arguments.name), list(loaded.warnings)
        protocol = get_protocol(arguments.protocol).key
    elif made_here is not None and made_here.files.get("predictions") == predictions.name:
        model, protocol, config = dataclasses.asdict(made_here.model), made_here.protocol, made_here.config
        model["name"] = arguments.name or model["name"]
        warnings = made_here.warnings
    else:
        masks = [predictions / video.name / mask.name for video in videos for mask in video.scored_masks]
        model = outside_model(arguments.name or predictions.resolve().name, "method", masks)
    if not (arguments.out / "config.py").is_file():
        write_atomic(arguments.out / "config.py", lambda path: path.write_text(dump_config(config)))
    _score(arguments, dataset, videos, predictions, protocol, model, config, warnings, watch)


def _claim(out: Path, config: dict[str, Any], overwrite: bool) -> None:
    """Begin or continue a run in `out`, whose config.py says what its masks were made with."""
    path, text = out / "config.py", dump_config(config)
    if overwrite:
        shutil.rmtree(out / PREDICTIONS, ignore_errors=True)
    elif path.is_file() and path.read_text() != text and (out / PREDICTIONS).is_dir():
        raise UserError(
            f"{out} holds masks of another checkpoint, protocol or precision (see {path}). Choose another --out, or "
            "--when-exists overwrite to delete them."
        )
    write_atomic(path, lambda temporary: temporary.write_text(text))


def _finished(video: Video, predictions: Path) -> bool:
    """Whether all masks of a video are there from an earlier run; says so."""
    done = all((predictions / video.name / mask.name).is_file() for mask in video.masks)
    if done:
        print(f"skipped {video.name}: its {len(video.masks)} masks are in {predictions / video.name}")
    return done


def _score(
    arguments: argparse.Namespace,
    dataset: Dataset,
    videos: list[Video],
    predictions: Path,
    protocol: str,
    model: dict[str, Any],
    config: dict[str, Any],
    warnings: list[str],
    watch: Stopwatch,
    device: Any = None,
) -> None:
    """Score masks; write objects.csv, overlay.png (more with --overlay) and record.json to --out."""
    with watch.phase("metrics"):
        scores = list(score_videos(videos, predictions, arguments.metric_backend))
        sums = sums_over_objects(scores)
        metrics = {
            name: record.Metric(
                value,
                unit="percentage points" if name.endswith("decay") else "percent",
                higher_is_better=not name.endswith("decay"),
                interval=percentile_interval(
                    sums, lambda rows, name=name: global_scores(rows)[name], unit="sequences", seed=arguments.seed
                ),
            )
            for name, value in global_scores(sums).items()
        }
    out = arguments.out
    write_objects(scores, out / "objects.csv")
    files = {"config": "config.py", "objects": "objects.csv"}
    if predictions.resolve() == (out / PREDICTIONS).resolve():
        files["predictions"] = PREDICTIONS
    with watch.phase("pictures"):
        files |= _draw(videos, scores, predictions, model["name"], out, arguments.overlay)
    finish_record(
        out / "record.json",
        arguments=arguments,
        model=model,
        benchmark="davis2017",
        protocol=protocol,
        dataset=record.Dataset(
            name=dataset.name,
            split=dataset.split,
            official=dataset.official,
            items_expected=len(dataset.videos),
            items_evaluated=len(videos),
            item="sequences",
            annotation_sha256=dataset.annotation_sha256(),
        ),
        metrics=metrics,
        headline="J&F",
        timing=watch.timing(len(videos)),
        config=config | {"metric_backend": arguments.metric_backend},
        per_item={score.name: global_scores(row[None]) for score, row in zip(scores, sums)},
        files=files,
        warnings=warnings + [text for score in scores for text in score.warnings],
        device=device,
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
