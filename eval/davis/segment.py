"""Segment one video: decode and encode ahead, propagate, write; the pieces of label propagation put together."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from eval.davis.dataset import Video
from eval.davis.features import encode_ahead
from eval.davis.labels import first_labels, labels_to_mask
from eval.davis.masks import read_palette, write_mask
from eval.davis.protocol import Protocol
from eval.davis.tiled_propagation import propagate
from flsl.encoder import Encoder
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask
from flsl.runtime.stopwatch import Stopwatch


class Context:
    """What votes: the first frame and the last `protocol.context_frames` frames with their soft labels."""

    def __init__(self, features: Tensor, labels: Tensor, protocol: Protocol):
        """Begin with the first frame's normalized features (h, w, D) and labels (h, w, C)."""
        frames = 1 + protocol.context_frames
        self._features = features.new_empty(frames, *features.shape)
        self._labels = labels.new_empty(frames, *labels.shape)
        self._features[0], self._labels[0] = features, labels
        self._added = 0

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Add a frame in place of the oldest one; the first frame stays. The order of the others has no meaning."""
        slot = 1 + self._added % (len(self._features) - 1)
        self._features[slot], self._labels[slot] = features, labels
        self._added += 1

    def view(self) -> tuple[Tensor, Tensor]:
        """Return features (contexts, h, w, D) and labels (contexts, h, w, C), the first frame at index 0."""
        count = min(1 + self._added, len(self._features))
        return self._features[:count], self._labels[:count]


@torch.inference_mode()
def segment_video(
    encoder: Encoder,
    video: Video,
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
        out: folder for one PNG a frame, of the annotations' kind, named as its annotation; frame 0 is the annotation itself.
        device: where to compute.
        bfloat16: encode in bfloat16 (the propagation stays in float32).
        watch: gets the seconds of the phases decoding, encoder, propagation and output.
        on_frame: called after each frame.

    Raises:
        UserError: a file cannot be read, or the first annotation holds no object.
    """
    watch = watch or Stopwatch(device)
    first = video.edition.read_truth(video.masks[0])
    if not first.any():
        raise UserError(f"{video.masks[0]} holds no object: there is nothing to follow. Check the annotation.")
    palette = read_palette(video.masks[0])
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    context = None
    with (
        ThreadPoolExecutor(2) as writers,
        encode_ahead(encoder, video.frames, video.size, protocol, device, bfloat16, watch) as ahead,
    ):
        written = [writers.submit(write_mask, unfinished / video.masks[0].name, read_mask(video.masks[0]), palette)]
        for index, features in enumerate(ahead):
            if context is None:
                height, width = features.shape[:2]
                context = Context(features, first_labels(first, (height, width)).to(device), protocol)
                on_frame()
                continue
            with watch.phase("propagation"):
                labels = propagate(features, *context.view(), protocol)
                context.add(features, labels)
            with watch.phase("output"):
                mask = labels_to_mask(labels, encoder.patch_size, video.size)
                if video.edition.one_object:
                    mask = 255 * mask  # as the annotations are
                written.append(writers.submit(write_mask, unfinished / video.masks[index].name, mask, palette))
            on_frame()
        with watch.phase("output"):
            for file in written:
                file.result()
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)
