"""Segment many videos, in this process or shared between several, showing progress and the time left."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from os import cpu_count
from pathlib import Path
from queue import Empty

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from eval.davis.dataset import Video
from eval.davis.protocol import Protocol
from eval.davis.segment import segment_video
from flsl.encoder import Encoder
from flsl.runtime.stopwatch import Stopwatch

Tick = Callable[[Video], None]  # called after each frame of a video


def segment_videos(
    encoder: Encoder,
    videos: list[Video],
    protocol: Protocol,
    predictions: Path,
    *,
    device: torch.device,
    bfloat16: bool,
    processes: int,
    watch: Stopwatch,
) -> None:
    """Write the masks of all videos to `predictions/<video>/`, with a line and the seconds a frame for each.

    Args:
        encoder: in eval mode, on `device`.
        videos: what is still to do.
        protocol: the constants.
        predictions: folder of the masks.
        device: where to compute; several processes take the GPUs in turn.
        bfloat16: encode in bfloat16.
        processes: how many share the videos.
        watch: gets the seconds of each phase, summed over processes.

    Raises:
        UserError: see `segment_video`. Videos that were finished before stay.
    """
    with _progress(videos) as tick:
        if processes < 2 or len(videos) < 2:
            for video in videos:
                start = time.perf_counter()
                segment_video(
                    encoder,
                    video,
                    protocol,
                    predictions / video.name,
                    device=device,
                    bfloat16=bfloat16,
                    watch=watch,
                    on_frame=partial(tick, video),
                )
                _report(video, time.perf_counter() - start)
            return
        context = multiprocessing.get_context("spawn")
        ticks, numbers = context.Queue(), context.Queue()
        for number in range(processes):
            numbers.put(number)
        shared = (encoder.cpu(), protocol, predictions, device, bfloat16, processes, numbers, ticks)
        with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=shared) as pool:
            # The longest first, so that no process is left with a long one at the end.
            waiting = {pool.submit(_segment, v): v for v in sorted(videos, key=lambda v: -len(v.masks))}
            names = {video.name: video for video in videos}
            try:
                while waiting:
                    _pass_on(ticks, names, tick)
                    for future in [future for future in waiting if future.done()]:
                        seconds, phases = future.result()
                        for phase, spent in phases.items():
                            watch.add(phase, spent)
                        _report(waiting.pop(future), seconds)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _pass_on(ticks: "multiprocessing.Queue[str]", names: dict[str, Video], tick: Tick) -> None:
    """Hand the frames that the processes report to the progress display, waiting for at most a moment."""
    try:
        tick(names[ticks.get(timeout=0.2)])
        while True:
            tick(names[ticks.get_nowait()])
    except Empty:
        return


_process: dict = {}  # what a worker process keeps between videos


def _begin(encoder, protocol, predictions, device, bfloat16, processes, numbers, ticks) -> None:
    """Set a worker process up: its own GPU, or its share of the cores."""
    number = numbers.get()
    if device.type == "cuda":
        device = torch.device("cuda", number % torch.cuda.device_count())
    else:
        torch.set_num_threads(max(1, (cpu_count() or 1) // processes))
    _process.update(
        encoder=encoder.to(device),
        protocol=protocol,
        predictions=predictions,
        device=device,
        bfloat16=bfloat16,
        ticks=ticks,
    )


def _segment(video: Video) -> tuple[float, dict[str, float]]:
    """Segment a video in a worker process; returns seconds in all and by phase."""
    watch, start = Stopwatch(_process["device"]), time.perf_counter()
    segment_video(
        _process["encoder"],
        video,
        _process["protocol"],
        _process["predictions"] / video.name,
        device=_process["device"],
        bfloat16=_process["bfloat16"],
        watch=watch,
        on_frame=lambda: _process["ticks"].put(video.name),
    )
    return time.perf_counter() - start, watch.phases


def _report(video: Video, seconds: float) -> None:
    print(f"{video.name}: {len(video.masks)} frames, {seconds / len(video.masks):.2f} s a frame", flush=True)


@contextmanager
def _progress(videos: list[Video]) -> Iterator[Tick]:
    """Show a bar for all frames and one for each video under way, on a terminal; yields what to call after a frame."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        total = progress.add_task("all frames", total=sum(len(video.masks) for video in videos))
        bars: dict[str, TaskID] = {}

        def tick(video: Video) -> None:
            if video.name not in bars:
                bars[video.name] = progress.add_task(video.name, total=len(video.masks))
            progress.advance(total)
            progress.advance(bars[video.name])
            if progress.tasks[bars[video.name]].finished:
                progress.update(bars[video.name], visible=False)

        yield tick
