"""Time the plain and the fast form of every part side by side: `python -m eval davis bench`.

Each form runs in a process of its own, one after the other, so that its peak memory can be told. Features and frames are
drawn: their values change neither time nor memory. The context is full, as it is from the ninth frame of a video on.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from eval.davis.metrics import score_frame_plain
from eval.davis.packed_metrics import score_frame
from eval.davis.protocol import get_protocol

SIZE = (480, 854)  # of a frame, in pixels; it becomes 480 x 832
OBJECTS = 3
PHASES = ("encoder", "propagation", "output")
METRIC_FRAMES = 60


def bench(patch_sizes: list[int]) -> int:
    """Print seconds a frame and peak memory of ViT-S at the given patch sizes, and seconds a 1,000 frames of the metric."""
    console = Console()
    for patch_size in patch_sizes:
        results = {}
        for form in ("plain", "fast"):
            console.print(f"ViT-S/{patch_size}, {form} form ...", style="dim")
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                results[form] = pool.submit(_measure, patch_size, form == "fast").result()
        table = Table(
            "seconds a frame", "plain", "fast", "ratio", title=f"ViT-S/{patch_size}, {SIZE[0]}x{SIZE[1]}, CPU, fp32"
        )
        for phase in (*PHASES, "end to end", "peak memory, MiB"):
            plain, fast = (results[form][phase] for form in ("plain", "fast"))
            table.add_row(phase, f"{plain:.3f}", f"{fast:.3f}", f"{plain / fast:.1f}x")
        console.print(table)
    table = Table("metric, seconds a 1,000 frames", "seconds", "ratio", title=f"J and F of {OBJECTS} objects, {SIZE}")
    for name, seconds, ratio in _measure_metric():
        table.add_row(name, f"{seconds:.2f}", f"{ratio:.1f}x")
    console.print(table)
    return 0


def _measure(patch_size: int, fast: bool) -> dict[str, float]:
    """Seconds a frame by phase, and peak memory in MiB, of one form."""
    import torch

    from eval.davis.frames import resize_frame, to_input
    from eval.davis.labels import labels_to_mask
    from eval.davis.masks import write_mask
    from eval.davis.propagation import propagate_plain
    from eval.davis.segment import Context, encode
    from eval.davis.tiled_propagation import propagate
    from flsl.checkpoint import load_encoder

    protocol = get_protocol("dino")
    encoder = load_encoder(f"random:vit_small/{patch_size}").encoder
    for block in encoder.blocks:
        block.attn.fused_attn = fast  # the plain form makes the attention matrix
    drawn = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    palette = list(range(256)) * 3
    frames = 3 if patch_size >= 16 else 1
    seconds = dict.fromkeys(PHASES, 0.0)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        image = to_input(resize_frame(drawn, protocol), protocol)[None]
        features = encode(encoder, image)[0]
        labels = torch.rand(*features.shape[:2], OBJECTS + 1).softmax(dim=-1)
        context = Context(features, labels, protocol)
        for _ in range(protocol.context_frames):
            context.add(torch.nn.functional.normalize(features + 0.02 * torch.randn_like(features), dim=-1), labels)
        form: Callable = propagate if fast else propagate_plain
        for index in range(frames):
            times = [time.perf_counter()]
            target = encode(encoder, image)[0]
            times.append(time.perf_counter())
            result = form(target, *context.view(), protocol)
            times.append(time.perf_counter())
            mask = labels_to_mask(result, patch_size, SIZE)
            write_mask(Path(folder) / f"{index}.png", mask, palette)
            times.append(time.perf_counter())
            for phase, start, end in zip(PHASES, times, times[1:]):
                seconds[phase] += (end - start) / frames
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return seconds | {"end to end": sum(seconds.values()), "peak memory, MiB": peak}


def _measure_metric() -> list[tuple[str, float, float]]:
    """Seconds a 1,000 frames of the plain metric, the packed one, and the packed one in a process a core."""
    pairs = _drawn_masks()
    seconds = []
    for form in (score_frame_plain, score_frame):
        start = time.perf_counter()
        _score_all(form, pairs)
        seconds.append((time.perf_counter() - start) / len(pairs) * 1000)
    workers = multiprocessing.cpu_count()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_score_all, [score_frame] * workers, [pairs[:1]] * workers))  # starts the processes
        start = time.perf_counter()
        list(pool.map(_score_all, [score_frame] * workers, [pairs] * workers))
        seconds.append((time.perf_counter() - start) / (len(pairs) * workers) * 1000)
    names = ("plain", "packed", f"packed, {workers} processes")
    return [(name, spent, seconds[0] / spent) for name, spent in zip(names, seconds)]


def _score_all(form: Callable, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for truth, prediction in pairs:
        form(truth, prediction, OBJECTS)


def _drawn_masks() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of label maps: ellipses of the size of DAVIS objects, and the same with moved, ragged outlines."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(METRIC_FRAMES):
        truth, prediction = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
        for number in range(1, OBJECTS + 1):
            x, y, a, b = rng.integers((100, 80, 40, 30), (754, 400, 140, 110)).tolist()
            cv2.ellipse(truth, (x, y), (a, b), 30, 0, 360, number, -1)
            for turn in range(3):
                cv2.ellipse(prediction, (x + 6 * turn - 6, y + 3 * turn), (a, b), 20 + 10 * turn, 0, 360, number, -1)
        pairs.append((truth, prediction))
    return pairs
