"""Segment one video by label propagation: follow its first mask and write a mask for every frame."""

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
import torch

from eval.propagation.follow import follow
from eval.propagation.labels import first_labels, labels_to_mask
from eval.propagation.masks import read_palette, write_mask
from eval.propagation.protocol import Protocol
from eval.propagation.video import Video
from flsl.encoder import Encoder
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask
from flsl.runtime.stopwatch import Stopwatch


class MaskedVideo(Video, Interface):
    """A video with masks, and how they are read and written."""

    @property
    def masks(self) -> tuple[Path, ...]:
        """One a frame; the first one is followed, the names of all are those of predictions."""

    @property
    def first_is_given(self) -> bool:
        """Whether the first mask is no prediction, but written as it is."""

    def read_first(self) -> np.ndarray:
        """Return the ids (H, W) uint8 of the first annotation, void as background."""

    def to_disk(self, mask: np.ndarray) -> np.ndarray:
        """Return what is written for ids (H, W) uint8."""


@torch.inference_mode()
def segment_video(
    encoder: Encoder,
    video: MaskedVideo,
    protocol: Protocol,
    out: Path,
    *,
    device: torch.device,
    bfloat16: bool = False,
    watch: Stopwatch | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> None:
    """Write the masks of a video to the folder `out`, which appears only when all are there.

    Args:
        encoder: in eval mode, on `device`.
        video: frames and first annotation.
        protocol: the constants.
        out: folder for one PNG a frame, of the annotations' kind, named as its annotation.
        device: where to compute.
        bfloat16: encode in bfloat16 (the propagation stays in float32).
        watch: gets the seconds of the phases decoding, encoder, propagation and output.
        on_frame: called after each frame.

    Raises:
        UserError: a file cannot be read, or a first annotation that is given holds no object.
    """
    watch = watch or Stopwatch(device)
    first = video.read_first()
    if video.first_is_given and not first.any():  # where it is not, background is a part like the others
        raise UserError(f"{video.masks[0]} holds no object: there is nothing to follow. Check the annotation.")
    palette = read_palette(video.masks[0])
    resized = protocol.size(*video.size, encoder.patch_size)
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    written: list[Future] = []
    with ThreadPoolExecutor(2) as writers:
        start = partial(first_labels, first, frame=resized, protocol=protocol)
        frames = follow(encoder, video, start, protocol, device=device, bfloat16=bfloat16, watch=watch)
        for path, labels in zip(video.masks, frames, strict=True):
            with watch.phase("output"):
                if video.first_is_given and not written:
                    mask = read_mask(path)
                else:
                    ids = labels_to_mask(labels, encoder.patch_size, video.size, protocol)
                    mask = video.to_disk(ids)
                written.append(writers.submit(write_mask, unfinished / path.name, mask, palette))
            on_frame()
        with watch.phase("output"):
            for file in written:
                file.result()
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)
