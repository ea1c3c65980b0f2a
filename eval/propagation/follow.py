"""Follow labels through one video: what votes, and the labels of one frame after the other."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from eval.propagation.features import encode_ahead
from eval.propagation.labels import join_labels, with_channels
from eval.propagation.protocol import Protocol
from eval.propagation.tiled import propagate
from eval.propagation.video import Video
from flsl.encoder import Encoder
from flsl.runtime.stopwatch import Stopwatch

Labels: TypeAlias = Callable[[tuple[int, int]], Tensor]  # gives labels (h, w, C) for so many rows and columns of tokens


class Context:
    """What votes: the frames that gave masks and the last `protocol.context_frames` frames, with their soft labels."""

    def __init__(self, features: Tensor, labels: Tensor, protocol: Protocol):
        """Begin with the first frame's normalized features (h, w, D) and labels (h, w, C)."""
        frames = 1 + protocol.context_frames
        self._features = features.new_empty(frames, *features.shape)
        self._labels = labels.new_empty(frames, *labels.shape)
        self._features[0], self._labels[0] = features, labels
        self._padded = protocol.padded
        self.given, self._added = 1, 0

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Add a frame in place of the oldest one; those that gave masks stay. The order of the others has no meaning."""
        slot = self.given + self._added % (len(self._features) - self.given)
        self._features[slot], self._labels[slot] = features, labels
        self._added += 1

    def keep(self, features: Tensor, labels: Tensor) -> None:
        """Add a frame that gave masks: it stays, as the first one does, and where a context is padded, votes once more
        as one of the last frames. Its labels may have more channels than those before it."""
        known = with_channels(self._labels, labels.shape[-1])
        kept = ((self._features, features), (known, labels))
        self._features, self._labels = (torch.cat([a[: self.given], b[None], a[self.given :]]) for a, b in kept)
        self.given += 1
        if self._padded:
            self.add(features, labels)

    def view(self) -> tuple[Tensor, Tensor]:
        """Return features (contexts, h, w, D) and labels (contexts, h, w, C), the `given` ones first, in order."""
        count = min(self.given + self._added, len(self._features))
        return self._features[:count], self._labels[:count]

    @property
    def repeats(self) -> int:
        """How often the first frame votes besides: in its place among the last frames, and in place of those before it unless
        a later one gave masks, whose objects its copies would outvote."""
        missing = max(len(self._features) - self.given - self._added, 0) if self._padded else 0
        return missing if self.given == 1 else min(missing, 1)


@torch.inference_mode()
def follow(
    encoder: Encoder,
    video: Video,
    given: Mapping[int, Labels],
    protocol: Protocol,
    *,
    device: torch.device,
    bfloat16: bool,
    watch: Stopwatch,
) -> Iterator[Tensor]:
    """Yield the soft labels (h, w, C) of every frame of a video from the first one that gives labels on, its own included.

    Where a later frame gives labels of new objects, what is yielded is how far the others have come. From then on the
    new ones are followed too: in that frame's labels they take their share of each token from what was predicted there.

    Args:
        encoder: in eval mode, on `device`.
        video: with frames.
        given: index of a frame -> the labels of the objects that are given there; those of the first of them are all that
            is known of it.
        protocol: the constants.
        device: where to compute.
        bfloat16: encode in bfloat16 (the propagation stays in float32).
        watch: gets the seconds of the phases decoding, encoder and propagation.

    Raises:
        UserError: a frame cannot be read.
    """
    first = min(given)
    with encode_ahead(encoder, video.frames[first:], video.size, protocol, device, bfloat16, watch) as ahead:
        features = next(ahead)  # (h, w, D)
        height, width = features.shape[:2]
        labels = given[first]((height, width)).to(device)  # (h, w, C)
        context = Context(features, labels, protocol)
        yield labels
        for index, features in enumerate(ahead, start=first + 1):
            with watch.phase("propagation"):
                labels = propagate(features, *context.view(), protocol, context.repeats, given=context.given)
                if index in given:
                    new = given[index]((height, width)).to(device)
                    context.keep(features, join_labels(labels, new))
                else:
                    context.add(features, labels)
            yield labels
