"""Encoded images on disk: what one protocol has encoded, the next one on the same checkpoint finds there.

A set of tokens is a folder of `FEATURES/`, named after what it depends on: the encoder, the data, and how images were made
ready. It holds `tokens.npy` (images, tokens, D), float16, memory-mapped, filled from the front; a run that was interrupted
goes on where it stopped, and one that needs fewer tokens of an image takes the first ones.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eval.loading import load_ahead
from eval.progress import Progress
from flsl.checkpoint import LoadedEncoder
from flsl.finite import require_finite
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_text
from flsl.runtime.preemption import Preempted, StopSignal
from flsl.runtime.run_folder import RunFolder
from flsl.runtime.stopwatch import Stopwatch

TOKENS, COUNT = "tokens.npy", "encoded.json"
KEEP_EVERY = 256  # images after which it is written down how many are there
LARGEST = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class Pictures:
    """Images in the form in which they are encoded.

    Attributes:
        name: for progress and messages.
        identity: plain values that tell these images from others: split, digest, size, constants, draws.
        count: number of images.
        load: returns image i, (3, S, S) float32, normalized. Called from threads.
        grid: rows and columns of tokens.
        keep: returns which tokens of image i are kept, indices in raster order, best first; None keeps all in raster order.
        kept: how many tokens of an image are kept.
    """

    name: str
    identity: Mapping[str, Any]
    count: int
    load: Callable[[int], Tensor]
    grid: tuple[int, int]
    keep: Callable[[int], np.ndarray] | None = None
    kept: int | None = None

    @property
    def rows(self) -> int:
        """Tokens of an image on disk."""
        return self.grid[0] * self.grid[1] if self.kept is None else self.kept


@dataclass(frozen=True)
class TokenStore:
    """The folder of encoded images of one encoder."""

    folder: Path
    loaded: LoadedEncoder
    device: torch.device
    watch: Stopwatch
    batch_size: int | None = None  # images at once; changes no token by more than rounding

    def tokens(self, pictures: Pictures, first: int | None = None) -> np.ndarray:
        """Return the tokens (images, tokens, D) float16 of pictures, memory-mapped, encoding what is not there yet.

        Args:
            pictures: what to encode.
            first: only so many images from the front; None: all.

        Raises:
            UserError: an image that cannot be read, features that are no numbers or beyond float16, or a full disk.
            Preempted: a signal asked to stop; what is encoded is kept.
        """
        wanted = pictures.count if first is None else min(first, pictures.count)
        identity = {"encoder": self.loaded.fingerprint, **pictures.identity}
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        shape = (pictures.count, pictures.rows, self.loaded.encoder.embed_dim)
        for place in sorted(self.folder.glob(f"{digest}-*")):
            found = _open(place)
            if found is not None and found[1] >= wanted and found[0].shape[1] >= pictures.rows:
                return found[0][:wanted, : pictures.rows]
        place = self.folder / f"{digest}-{pictures.rows}"
        remove = f"rm -r {place}"
        with RunFolder(
            place, identity, results=[COUNT], outputs=[TOKENS], start_over=remove, option="--features"
        ) as owned:
            owned.begin()
            self._encode(pictures, place, shape, wanted)
        found = _open(place)
        assert found is not None
        return found[0][:wanted]

    def _encode(self, pictures: Pictures, place: Path, shape: tuple[int, ...], wanted: int) -> None:
        """Fill the file from where it ends to the image before `wanted`."""
        found = _open(place)
        done = found[1] if found is not None and found[0].shape == shape else 0
        try:
            if not done:
                (place / COUNT).unlink(missing_ok=True)  # or a new file of zeros would be taken for what it counts
            stored = np.lib.format.open_memmap(place / TOKENS, "r+" if done else "w+", np.float16, shape)
        except OSError as error:
            raise UserError(
                f"cannot write {place / TOKENS}: {error.strerror}. It takes {np.prod(shape, dtype=float) * 2 / 2**30:.1f} "
                "GiB: make room, or name another folder with --features."
            ) from error
        progress, saved = Progress(f"encoding {pictures.name}", wanted, done), done
        with StopSignal() as stop:
            for tokens in self._encoded(pictures, done, wanted):
                stored[done : done + len(tokens)] = tokens
                done += len(tokens)
                progress.update(done)
                if done - saved >= KEEP_EVERY or done >= wanted or stop.requested:
                    stored.flush()
                    write_text(place / COUNT, json.dumps({"images": done}))
                    saved = done
                if stop.requested and done < wanted:
                    raise Preempted(f"stopped after {done} of {wanted} images; the same command goes on from there")

    @torch.inference_mode()
    def _encoded(self, pictures: Pictures, start: int, end: int) -> Iterator[np.ndarray]:
        """Yield the tokens (b, tokens, D) float16 of batches of images."""
        encoder = self.loaded.encoder
        size = self.batch_size or (4 if self.device.type == "cpu" else 32)
        batches = [range(first, min(first + size, end)) for first in range(start, end, size)]
        images = load_ahead(pictures.load, batches, partial(self.watch.phase, "waiting for images"))
        for numbers, loaded in zip(batches, images):
            with self.watch.phase(f"encoding {pictures.name}"):
                given = torch.stack(loaded).to(self.device)
                tokens = encoder(given)
                what = f"images {numbers[0]} to {numbers[-1]} of {pictures.name}"
                require_finite(tokens, encoder, given, what)
                if tokens.abs().max() > LARGEST:
                    raise UserError(f"{what}: features above {LARGEST:g} cannot be stored in half precision.")
                half = tokens.half().cpu().numpy()
            if pictures.keep is not None:
                half = np.stack([one[pictures.keep(n)] for n, one in zip(numbers, half)])
            yield half


def _open(place: Path) -> tuple[np.ndarray, int] | None:
    """Return a set's tokens and how many images are in it; None where there is no whole file."""
    try:
        count = int(json.loads((place / COUNT).read_text())["images"])
        stored = np.load(place / TOKENS, mmap_mode="r")
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    whole = stored.ndim == 3 and stored.dtype == np.float16 and 0 <= count <= len(stored)
    return (stored, count) if whole else None
