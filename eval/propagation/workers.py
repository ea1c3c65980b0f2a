"""Follow many videos, in this process or shared between several, showing progress and the time left."""

import copy
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from queue import Empty
from typing import TypeAlias

import torch

from eval.progress import Progress
from eval.propagation.protocol import Protocol
from eval.propagation.video import Video
from flsl.encoder import Encoder
from flsl.runtime.device import choose_device, cores
from flsl.runtime.errors import UserError
from flsl.runtime.preemption import end_with_the_main_process
from flsl.runtime.stopwatch import Stopwatch

# (encoder, video, protocol=, out=, device=, bfloat16=, watch=, on_frame=): writes the folder `out`, whole or not at all.
Task: TypeAlias = Callable[..., None]


def follow_videos(
    encoder: Encoder,
    videos: Sequence[Video],
    protocol: Protocol,
    predictions: Path,
    task: Task,
    *,
    device: torch.device,
    bfloat16: bool,
    processes: int,
    watch: Stopwatch,
) -> None:
    """Write the predictions of all videos to `predictions/<video>/`, with a line and the seconds a frame for each.

    Args:
        encoder: in eval mode, on `device`.
        videos: what is still to do.
        protocol: the constants.
        predictions: folder of folders.
        task: writes the predictions of one video, such as `eval.propagation.segment.segment_video`.
        device: where to compute; several processes take the GPUs in turn.
        bfloat16: encode in bfloat16.
        processes: how many share the videos.
        watch: gets the seconds of each phase, summed over processes.

    Raises:
        UserError: see the task. Videos that were finished before stay.
    """
    frames = _Frames(videos)
    if processes < 2 or len(videos) < 2:
        run = partial(task, encoder, protocol=protocol, device=device, bfloat16=bfloat16, watch=watch)
        for video in videos:
            start = time.perf_counter()
            run(video, out=predictions / video.name, on_frame=partial(frames.tick, video))
            frames.finish(video, time.perf_counter() - start)
        return
    processes = min(processes, len(videos))
    context = multiprocessing.get_context("spawn")
    ticks, numbers = context.Queue(), context.Queue()
    for number in range(processes):
        numbers.put(number)
    on_host = encoder if device.type == "cpu" else copy.deepcopy(encoder).cpu()  # the caller's stays where it is
    shared = (on_host, task, protocol, predictions, device, bfloat16, processes, numbers, ticks)
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=shared) as pool:
        # The longest first, so that no process is left with a long one at the end.
        waiting = {pool.submit(_follow, v): v for v in sorted(videos, key=lambda v: -len(v.frames))}
        names = {video.name: video for video in videos}
        try:
            while waiting:
                _pass_on(ticks, names, frames)
                for future in [future for future in waiting if future.done()]:
                    seconds, phases = future.result()
                    for phase, spent in phases.items():
                        watch.add(phase, spent)
                    frames.finish(waiting.pop(future), seconds)
        except BaseException as error:
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "a process that followed videos was ended from outside; most often the system did so for want of memory. "
                    f"Try --processes {processes // 2}; the same command goes on from what is written."
                ) from error
            raise


def _pass_on(ticks: "multiprocessing.Queue[str]", names: dict[str, Video], frames: "_Frames") -> None:
    """Hand the frames that the processes report to the line of progress, waiting for at most a moment."""
    try:
        frames.tick(names[ticks.get(timeout=0.2)])
        while True:
            frames.tick(names[ticks.get_nowait()])
    except Empty:
        return


_process: dict = {}  # what a worker process keeps between videos


def _begin(encoder, task, protocol, predictions, device, bfloat16, processes, numbers, ticks) -> None:
    """Set a worker process up: its own GPU, or its share of the cores."""
    end_with_the_main_process()
    number = numbers.get()
    if device.type == "cuda":
        # As the main process has it: without TF32, which torch lets convolutions use by itself.
        device = choose_device(f"cuda:{number % torch.cuda.device_count()}")
    else:
        torch.set_num_threads(max(1, cores() // processes))
    run = partial(task, encoder.to(device), protocol=protocol, device=device, bfloat16=bfloat16)
    _process.update(run=run, device=device, predictions=predictions, ticks=ticks)


def _follow(video: Video) -> tuple[float, dict[str, float]]:
    """Follow a video in a worker process; returns seconds in all and by phase."""
    watch, start = Stopwatch(_process["device"]), time.perf_counter()
    out, tick = _process["predictions"] / video.name, partial(_process["ticks"].put, video.name)
    _process["run"](video, out=out, watch=watch, on_frame=tick)
    return time.perf_counter() - start, watch.phases


class _Frames:
    """Counts the frames of all videos on one line of progress; each finished video gets a line that stays."""

    def __init__(self, videos: Sequence[Video]):
        self.progress = Progress("propagation: frame", sum(len(video.frames) for video in videos))
        self.done = 0

    def tick(self, video: Video) -> None:
        """Count a frame."""
        self.done += 1
        self.progress.update(self.done, f"({video.name})  ")

    def finish(self, video: Video, seconds: float) -> None:
        """Say how long a video took."""
        each = seconds / len(video.frames)
        self.progress.say(f"{video.name}: {len(video.frames)} frames, {each:.2f} s a frame")
