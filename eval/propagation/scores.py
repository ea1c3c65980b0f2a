"""Score the predictions of many videos, in this process or in several."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from eval.propagation.video import Video
from flsl.runtime.device import cores
from flsl.runtime.preemption import end_with_the_main_process

V = TypeVar("V", bound=Video)
Score = TypeVar("Score")
# Below this many frames, starting processes takes longer than scoring.
FRAMES_WORTH_PROCESSES = 400


def score_each(
    score: Callable[[V, Path], Score], videos: Sequence[V], predictions: Path, frames: int
) -> Iterator[Score]:
    """Yield what `score` returns for each video and its folder of predictions, in order.

    Args:
        score: a function of a module, since other processes find it by its name.
        videos: to score.
        predictions: folder of folders.
        frames: how many are scored in all: videos are shared between processes where there are enough.
    """
    workers = min(cores(), len(videos))
    folders = [predictions / video.name for video in videos]
    if workers < 2 or frames < FRAMES_WORTH_PROCESSES:
        yield from map(score, videos, folders)
        return
    # A forked process would inherit torch's threads in an undefined state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=end_with_the_main_process) as pool:
        yield from pool.map(score, videos, folders)
