"""Follow labels through one video: what votes, and the labels of one frame after the other."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from eval.propagation.features import encode_ahead
from eval.propagation.protocol import Protocol
from eval.propagation.tiled import propagate
from eval.propagation.video import Video
from flsl.encoder import Encoder
from flsl.runtime.stopwatch import Stopwatch


class Context:
    """What votes: the first frame and the last `protocol.context_frames` frames with their soft labels."""

    def __init__(self, features: Tensor, labels: Tensor, protocol: Protocol):
        """Begin with the first frame's normalized features (h, w, D) and labels (h, w, C)."""
        frames = 1 + protocol.context_frames
        self._features = features.new_empty(frames, *features.shape)
        self._labels = labels.new_empty(frames, *labels.shape)
        self._features[0], self._labels[0] = features, labels
        self._padded = protocol.padded
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

    @property
    def repeats(self) -> int:
        """How often the first frame votes besides, in place of the frames that are not there yet."""
        return max(len(self._features) - 1 - self._added, 0) if self._padded else 0


@torch.inference_mode()
def follow(
    encoder: Encoder,
    video: Video,
    first: Callable[[tuple[int, int]], Tensor],
    protocol: Protocol,
    *,
    device: torch.device,
    bfloat16: bool,
    watch: Stopwatch,
) -> Iterator[Tensor]:
    """Yield the soft labels (h, w, C) of every frame of a video, the first one's included.

    Args:
        encoder: in eval mode, on `device`.
        video: with frames.
        first: gives the first frame's labels (h, w, C) for a grid of so many rows and columns of tokens.
        protocol: the constants.
        device: where to compute.
        bfloat16: encode in bfloat16 (the propagation stays in float32).
        watch: gets the seconds of the phases decoding, encoder and propagation.

    Raises:
        UserError: a frame cannot be read.
    """
    context = None
    with encode_ahead(encoder, video.frames, video.size, protocol, device, bfloat16, watch) as ahead:
        for features in ahead:  # (h, w, D)
            if context is None:
                height, width = features.shape[:2]
                labels = first((height, width)).to(device)  # (h, w, C)
                context = Context(features, labels, protocol)
            else:
                with watch.phase("propagation"):
                    labels = propagate(features, *context.view(), protocol, context.repeats)
                    context.add(features, labels)
            yield labels
