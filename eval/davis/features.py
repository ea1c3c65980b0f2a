"""Features of a video's frames, decoded and encoded ahead of their use."""

import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from eval.davis.frames import read_frame
from eval.davis.propagation import normalise
from eval.davis.protocol import Protocol
from eval.davis.threads import one_thread_each
from eval.run import Stopwatch
from flsl.encoder import Encoder

# On a CPU: memory for frames that are encoded at the same time, in bytes, and what a token and channel of one takes.
WORKING_MEMORY, BYTES_A_VALUE = 2**30, 64
# On a GPU: tokens encoded at a time, and batches decoded ahead.
BATCH_TOKENS, BATCHES_AHEAD = 50_000, 4


@torch.inference_mode()
def encode(encoder: Encoder, images: Tensor, bfloat16: bool = False) -> Tensor:
    """Return the normalised features (B, h, w, D) float32 of images (B, 3, H, W): last block, after the final norm."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        (maps,) = encoder.feature_maps(images)
    return normalise(maps.float().permute(0, 2, 3, 1)).contiguous()


@contextmanager
def encode_ahead(
    encoder: Encoder,
    frames: Sequence[Path],
    protocol: Protocol,
    device: torch.device,
    bfloat16: bool,
    watch: Stopwatch,
) -> Iterator[Iterator[Tensor]]:
    """Give an iterator over the normalised features (h, w, D) float32 of each frame, in order.

    On a CPU every core encodes a frame of its own, which keeps all of them busy without waiting for each other; while
    the context lasts, torch uses one core for each operation. On a GPU frames are encoded in batches.

    Raises:
        UserError: from the iterator, where a frame cannot be read.
    """
    if device.type == "cpu":
        with one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
            try:
                yield _one_by_one(pool, threads, encoder, frames, protocol, bfloat16, watch)
            finally:
                pool.shutdown(cancel_futures=True)
    else:
        with ThreadPoolExecutor(4) as pool:
            try:
                yield _in_batches(pool, encoder, frames, protocol, device, bfloat16, watch)
            finally:
                pool.shutdown(cancel_futures=True)


def _one_by_one(
    pool: ThreadPoolExecutor,
    threads: int,
    encoder: Encoder,
    frames: Sequence[Path],
    protocol: Protocol,
    bfloat16: bool,
    watch: Stopwatch,
) -> Iterator[Tensor]:
    """Encode one frame a thread; the first one alone tells how many fit into memory."""

    def work(path: Path) -> tuple[Tensor, float, float]:
        start = time.perf_counter()
        image = read_frame(path, protocol)[None]
        decoded = time.perf_counter()
        return encode(encoder, image, bfloat16)[0], decoded - start, time.perf_counter() - decoded

    waiting: deque[Future] = deque()
    todo, ahead = iter(frames), 1
    while True:
        waiting.extend(pool.submit(work, path) for path in itertools.islice(todo, max(0, ahead - len(waiting))))
        if not waiting:
            return
        features, decoding, encoding = waiting.popleft().result()
        watch.add("decoding", decoding)
        watch.add("encoder", encoding)
        # One more than there are threads, so that none waits while a frame is propagated.
        ahead = 1 + max(1, min(threads, WORKING_MEMORY // (features.numel() * BYTES_A_VALUE)))
        yield features


def _in_batches(
    pool: ThreadPoolExecutor,
    encoder: Encoder,
    frames: Sequence[Path],
    protocol: Protocol,
    device: torch.device,
    bfloat16: bool,
    watch: Stopwatch,
) -> Iterator[Tensor]:
    """Decode in threads, encode several frames together; the first one alone tells how many."""
    waiting: deque[Future] = deque()
    todo, size = iter(frames), 1
    while True:
        ahead = size * BATCHES_AHEAD
        waiting.extend(
            pool.submit(read_frame, path, protocol) for path in itertools.islice(todo, max(0, ahead - len(waiting)))
        )
        if not waiting:
            return
        with watch.phase("decoding"):
            images = torch.stack([waiting.popleft().result() for _ in range(min(size, len(waiting)))])
        with watch.phase("encoder"):
            features = encode(encoder, images.to(device), bfloat16)
        size = max(1, BATCH_TOKENS // features[0, ..., 0].numel())
        yield from features
