"""Time the plain and the fast form of every part side by side.

python -m eval davis bench [--patch-sizes 16 8] [--device cuda] [--json FILE]

Each form runs in a process of its own, one after the other, so that its peak memory can be told. Features and frames are
drawn: their values change neither time nor memory. The context is full, as it is from the ninth frame of a video on.
"""

import functools
import itertools
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from eval.davis.protocols import PROTOCOLS
from eval.metrics.j_and_f import score_frame_plain
from eval.metrics.packed_j_and_f import score_frame
from eval.propagation.frames import read_frame
from eval.propagation.masks import write_mask
from eval.propagation.protocol import Protocol
from flsl.runtime.device import choose_device, cores
from flsl.runtime.files import require_writable, write_text
from flsl.runtime.stopwatch import Stopwatch, peak_device_memory, peak_memory, wait_for

SIZE = (480, 854)  # of a frame, in pixels; it becomes 480 x 832
OBJECTS = 3
PHASES = ("encoder", "propagation", "output")
METRIC_FRAMES = 60
GPU_BATCHES = 2
# By one process, which all others begin as: imports take seconds.
PRELOADED = ["eval.propagation.segment", "flsl.checkpoint"]
PALETTE = list(range(256)) * 3


def bench(patch_sizes: list[int], device: str = "cpu", file: Path | None = None) -> int:
    """Print seconds a frame and peak memory of ViT-S at the given patch sizes, and seconds a 1,000 frames of the metric.

    Raises:
        UserError: the device is not there, or the file cannot be written.
    """
    if file:
        require_writable(file, "--json")
    device = str(choose_device(device))
    console = Console()
    rows: list[dict[str, Any]] = []
    where = f"CPU, {cores()} cores" if device == "cpu" else device
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    for patch_size in patch_sizes:
        results = {}
        for form in ("plain", "fast"):
            console.print(f"ViT-S/{patch_size}, {form} form ...", style="dim")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                results[form] = pool.submit(_measure, patch_size, form == "fast", device).result()
            rows.append({"what": f"ViT-S/{patch_size}", "side": form, "device": device, **results[form]})
            if file:
                write_text(file, json.dumps(rows, indent=1))
        title = f"ViT-S/{patch_size}, {SIZE[0]}x{SIZE[1]}, {where}, fp32"
        table = Table("seconds a frame", "plain", "fast", "ratio", title=title)
        for row, plain in results["plain"].items():
            fast = results["fast"][row]
            digits = 0 if row.endswith("MiB") else 3
            table.add_row(row, f"{plain:.{digits}f}", f"{fast:.{digits}f}", f"{plain / fast:.1f}x")
        console.print(table)
    if device != "cpu":
        return 0  # the metric is the CPU's
    table = Table("metric, seconds a 1,000 frames", "seconds", "ratio", title=f"J and F of {OBJECTS} objects, {SIZE}")
    for name, seconds, ratio in _measure_metric():
        table.add_row(name, f"{seconds:.2f}", f"{ratio:.1f}x")
    console.print(table)
    return 0


def _measure(patch_size: int, fast: bool, where: str) -> dict[str, float]:
    """Seconds a frame by phase and peak memory of one form: the rows of its table.

    On a CPU the fast form's encoder runs on every core at once, beside the rest: its row is the time of all cores for a
    frame.
    """
    import torch

    from eval.propagation.follow import Context
    from eval.propagation.plain import normalize
    from flsl.checkpoint import load_encoder

    protocol, device = PROTOCOLS["dino"], choose_device(where)
    encoder = load_encoder(f"random:vit_small/{patch_size}", device).encoder
    for block in encoder.blocks:
        attention: Any = block.get_submodule("attn")
        attention.fused_attn = fast  # the plain form makes the attention matrix
    loaded = peak_memory()
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "00000.jpg"
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8))
        grid = [side // patch_size for side in protocol.size(*SIZE)]
        labels = torch.rand(*grid, OBJECTS + 1).softmax(dim=-1).to(device)
        context = Context(normalize(torch.randn(*grid, encoder.embed_dim)).to(device), labels, protocol)
        for _ in range(protocol.context_frames):
            context.add(normalize(torch.randn(*grid, encoder.embed_dim)).to(device), labels)
        seconds = (_run_fast if fast else _run_plain)(encoder, path, context, protocol, device)
    peak, on_device = peak_memory(), peak_device_memory(device)
    if on_device is not None:
        return seconds | {"device memory, MiB": on_device}
    return seconds | {"peak memory, MiB": peak, "of it after loading, MiB": peak - loaded}


def _run_plain(encoder: Any, path: Path, context: Any, protocol: Protocol, device: Any) -> dict[str, float]:
    """One thing after the other; the best of two frames."""
    from eval.propagation.features import encode
    from eval.propagation.labels import labels_to_mask
    from eval.propagation.plain import propagate_plain

    best = []
    for _ in range(2):
        times = [time.perf_counter()]
        target = encode(encoder, read_frame(path, protocol)[None].to(device))[0]
        wait_for(device)
        times.append(time.perf_counter())
        features, known = context.view()
        labels = propagate_plain(target, features, known, protocol)
        wait_for(device)
        times.append(time.perf_counter())
        mask = labels_to_mask(labels, encoder.patch_size, SIZE, protocol)
        write_mask(path.with_suffix(".png"), mask, PALETTE)
        times.append(time.perf_counter())
        best.append([end - start for start, end in itertools.pairwise(times)])
    seconds = dict(zip(PHASES, np.min(best, axis=0).tolist()))
    return seconds | {"end to end": sum(seconds.values())}


def _run_fast(encoder: Any, path: Path, context: Any, protocol: Protocol, device: Any) -> dict[str, float]:
    """As `eval.propagation.segment` does it, on two frames a core, or a few batches of a GPU; the best of two runs."""
    import torch

    from eval.propagation.features import BATCH_TOKENS, encode_ahead
    from eval.propagation.labels import labels_to_mask
    from eval.propagation.tiled import propagate

    frames = 2 * torch.get_num_threads()
    if device.type != "cpu":
        frames = GPU_BATCHES * max(1, BATCH_TOKENS // len(context.view()[0][0].flatten(0, 1)))
    best = []
    for _ in range(2):
        watch = Stopwatch(device)
        with (
            ThreadPoolExecutor(2) as writers,
            encode_ahead(encoder, [path] * frames, SIZE, protocol, device, False, watch) as ahead,
        ):
            for index, target in enumerate(ahead):
                with watch.phase("propagation"):
                    features, known = context.view()
                    labels = propagate(target, features, known, protocol)
                with watch.phase("output"):
                    mask = labels_to_mask(labels, encoder.patch_size, SIZE, protocol)
                    writers.submit(write_mask, path.with_name(f"{index}.png"), mask, PALETTE)
        best.append([*(watch.phases[phase] for phase in PHASES), watch.seconds])
    return dict(zip((*PHASES, "end to end"), (np.min(best, axis=0) / frames).tolist()))


def _measure_metric() -> list[tuple[str, float, float]]:
    """Seconds a 1,000 frames of the plain metric, the packed one, and the packed one in a process a core."""
    workers = cores()
    seconds = [_score_drawn(form) for form in (score_frame_plain, score_frame)]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_score_drawn, [score_frame] * workers))  # starts the processes and draws their masks
        start = time.perf_counter()
        list(pool.map(_score_drawn, [score_frame] * workers))
        seconds.append((time.perf_counter() - start) / workers)
    names = ("plain", "packed", f"packed, {workers} processes")
    return [(name, spent * 1000 / METRIC_FRAMES, seconds[0] / spent) for name, spent in zip(names, seconds)]


def _score_drawn(form: Callable) -> float:
    """Seconds that the drawn masks take."""
    pairs = _drawn_masks()
    start = time.perf_counter()
    for truth, prediction in pairs:
        form(truth, prediction, OBJECTS)
    return time.perf_counter() - start


@functools.lru_cache(maxsize=1)
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
