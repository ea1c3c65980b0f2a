"""Features of a video's frames, decoded and encoded ahead of their use."""

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from eval.propagation.frames import read_frame
from eval.propagation.plain import normalize
from eval.propagation.protocol import Protocol
from eval.propagation.threads import one_thread_each, return_large_blocks
from flsl.encoder import Encoder
from flsl.finite import require_finite
from flsl.runtime.stopwatch import Stopwatch

Make = Callable[..., Tensor]  # of a file the encoder's input, or of that its features
# On a CPU: memory for the frames that are encoded at the same time, and what one takes, in bytes a token and channel.
WORKING_MEMORY, BYTES_A_VALUE = 2**30, 64
# On a GPU: tokens encoded at a time, and batches decoded ahead.
BATCH_TOKENS, BATCHES_AHEAD = 50_000, 4


@torch.inference_mode()
def encode(encoder: Encoder, images: Tensor, bfloat16: bool = False, what: str = "images") -> Tensor:
    """Return the normalized features (B, h, w, D) float32 of images (B, 3, H, W): last block, after the final norm.

    Raises UserError if they are not finite, naming `what` the images are.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        (maps,) = encoder.feature_maps(images)  # (B, D, h, w)
        require_finite(maps, encoder, images, what)
    return normalize(maps.float().permute(0, 2, 3, 1)).contiguous()


@contextmanager
def encode_ahead(
    encoder: Encoder,
    frames: Sequence[Path],
    size: tuple[int, int],
    protocol: Protocol,
    device: torch.device,
    bfloat16: bool,
    watch: Stopwatch,
    in_batches: bool | None = None,
) -> Iterator[Iterator[Tensor]]:
    """Give an iterator over the normalized features (h, w, D) float32 of each frame, in order.

    On a CPU every core encodes a frame of its own, which keeps all of them busy without waiting for each other; while
    the context lasts, torch uses one core for each operation. On a GPU, or where `in_batches` says so, frames are encoded
    in batches.

    Args:
        encoder: in eval mode, on `device`.
        frames: files.
        size: their height and width as they are on disk.
        protocol: the constants.
        device: where to compute.
        bfloat16: encode in bfloat16.
        watch: gets the seconds of the phases decoding and encoder.
        in_batches: None: by the device.

    Raises:
        UserError: from the iterator, where a frame cannot be read.
    """
    patch = encoder.patch_size
    read = partial(read_frame, protocol=protocol, patch_size=patch)
    run = partial(encode, encoder, bfloat16=bfloat16)
    tokens = math.prod(side // patch for side in protocol.size(*size, patch))
    if not (device.type != "cpu" if in_batches is None else in_batches):
        return_large_blocks()
        fit = max(1, WORKING_MEMORY // (tokens * encoder.embed_dim * BYTES_A_VALUE))
        with one_thread_each() as threads, ThreadPoolExecutor(min(threads, fit)) as pool:
            try:
                # One more than there are threads, so that none waits while a frame is propagated.
                yield _one_by_one(pool, min(threads, fit) + 1, read, run, frames, watch)
            finally:
                pool.shutdown(cancel_futures=True)
    else:
        with ThreadPoolExecutor(4) as pool:
            try:
                batch = max(1, BATCH_TOKENS // tokens)
                yield _in_batches(pool, batch, read, run, frames, device, watch)
            finally:
                pool.shutdown(cancel_futures=True)


def _one_by_one(
    pool: ThreadPoolExecutor, ahead: int, read: Make, run: Make, frames: Sequence[Path], watch: Stopwatch
) -> Iterator[Tensor]:
    """Encode one frame a thread; `ahead` frames are under way, one more than there are threads.

    Phases get a thread's share of the time, so that they add up to about the wall clock.
    """

    def work(path: Path) -> tuple[Tensor, float, float]:
        start = time.perf_counter()
        image = read(path)[None]  # (1, 3, H, W)
        decoded = time.perf_counter()
        return run(image, what=str(path))[0], decoded - start, time.perf_counter() - decoded  # (h, w, D) and seconds

    waiting: deque[Future] = deque()
    todo = iter(frames)
    while True:
        waiting.extend(pool.submit(work, path) for path in itertools.islice(todo, ahead - len(waiting)))
        if not waiting:
            return
        features, decoding, encoding = waiting.popleft().result()
        watch.add("decoding", decoding / (ahead - 1))
        watch.add("encoder", encoding / (ahead - 1))
        yield features


def _in_batches(
    pool: ThreadPoolExecutor,
    size: int,
    read: Make,
    run: Make,
    frames: Sequence[Path],
    device: torch.device,
    watch: Stopwatch,
) -> Iterator[Tensor]:
    """Decode in threads, encode `size` frames together."""
    waiting: deque[Future] = deque()
    todo = iter(frames)
    while True:
        more = itertools.islice(todo, size * BATCHES_AHEAD - len(waiting))
        waiting.extend(pool.submit(read, path) for path in more)
        if not waiting:
            return
        with watch.phase("decoding"):
            images = torch.stack([waiting.popleft().result() for _ in range(min(size, len(waiting)))])  # (b, 3, H, W)
        with watch.phase("encoder"):
            features = run(images.to(device), what=f"frames of {frames[0].parent}")  # (b, h, w, D)
        yield from features
