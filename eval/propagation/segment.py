"""Segment one video by label propagation: follow the masks that are given and write a mask for every frame."""

import itertools
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from eval.propagation.follow import follow
from eval.propagation.labels import first_labels, labels_to_mask
from eval.propagation.masks import read_palette, write_mask
from eval.propagation.protocol import Protocol
from eval.propagation.video import MaskedVideo
from flsl.encoder import Encoder
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask
from flsl.runtime.stopwatch import Stopwatch


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
        video: frames and the annotations that are given; in frames before the first of these nothing is found.
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
    given = video.read_given()
    first = min(given)
    if video.first_is_given and not given[first].any():  # where it is not, background is a part like the others
        raise UserError(f"{video.masks[first]} holds no object: there is nothing to follow. Check the annotation.")
    palette = read_palette(video.masks[first])
    resized = protocol.size(*video.size, encoder.patch_size)
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    written: list[Future] = []
    with ThreadPoolExecutor(2) as writers:
        starts = {index: partial(first_labels, ids, frame=resized, protocol=protocol) for index, ids in given.items()}
        followed = follow(encoder, video, starts, protocol, device=device, bfloat16=bfloat16, watch=watch)
        frames = itertools.chain(itertools.repeat(None, first), followed)
        for index, (path, labels) in enumerate(zip(video.masks, frames, strict=True)):
            with watch.phase("output"):
                if labels is None:
                    mask = video.to_disk(np.zeros(video.size, np.uint8))
                elif video.first_is_given and index == first:
                    mask = read_mask(path)
                else:
                    ids = labels_to_mask(labels, encoder.patch_size, video.size, protocol)
                    new = given.get(index) if index > first else None
                    mask = video.to_disk(ids if new is None else np.where(new > 0, new, ids))
                written.append(writers.submit(write_mask, unfinished / path.name, mask, palette))
            on_frame()
        with watch.phase("output"):
            for file in written:
                file.result()
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)
