"""Objects that appear later than in the first frame: both forms, what stays in the context, and what is written."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

from eval.davis.protocols import PROTOCOLS
from eval.propagation.follow import follow
from eval.propagation.labels import join_labels
from eval.propagation.masks import write_mask
from eval.propagation.plain import in_window, normalize, propagate_plain
from eval.propagation.segment import segment_video
from eval.propagation.tiled import propagate
from eval.ytvos.protocols import PROTOCOLS as YTVOS
from flsl.checkpoint import load_encoder
from flsl.runtime.stopwatch import Stopwatch

DINO, WALK = PROTOCOLS["dino"], PROTOCOLS["videowalk"]
FRAMES, HEIGHT, WIDTH = 12, 9, 11
SMALL = {
    "dino": replace(DINO, radius=3, context_frames=3, topk=4),
    "videowalk": replace(WALK, radius=4, context_frames=4, topk=5),
}


def drifting(frames=FRAMES, seed=0):
    """Features (frames, h, w, 8) float64 that change a little from frame to frame."""
    generator = torch.Generator().manual_seed(seed)
    drift = torch.randn(frames, HEIGHT, WIDTH, 8, generator=generator, dtype=torch.float64)
    return normalize(torch.randn(HEIGHT, WIDTH, 8, generator=generator, dtype=torch.float64) + 0.4 * drift.cumsum(0))


def soft(channels, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(HEIGHT, WIDTH, channels, generator=generator, dtype=torch.float64).softmax(-1)


def follow_plainly(features, given, protocol):
    """What is predicted of each frame from the first given one on, by loops over frames and tokens.

    All frames that gave labels vote always. Of the others the last ones vote, and where the protocol's context is padded,
    the last ones of all, with the first one standing for those before it until a later one has given labels.
    """
    first, channels = min(given), max(labels.shape[-1] for labels in given.values())
    grow = {
        frame: torch.cat([new, new.new_zeros(HEIGHT, WIDTH, channels - new.shape[-1])], -1)
        for frame, new in given.items()
    }
    known, predicted = {first: grow[first]}, [grow[first]]
    place = torch.stack(torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij"), -1).flatten(0, 1)
    for frame in range(first + 1, len(features)):
        kept = [f for f in sorted(given) if f < frame]
        if protocol.padded:
            last = [
                max(f, first) for f in range(frame - protocol.context_frames, frame) if len(kept) == 1 or f >= first
            ]
        else:
            last = [f for f in range(first, frame) if f not in kept][-protocol.context_frames :]
        labels = torch.empty(HEIGHT * WIDTH, channels, dtype=torch.float64)
        for token in range(HEIGHT * WIDTH):
            near = in_window(*(place - place[token]).T, protocol)
            votes, of = [], []
            for at, source in enumerate([*kept, *last]):
                cosines = features[source].flatten(0, 1) @ features[frame].flatten(0, 1)[token]
                free = at < len(kept) and not protocol.window_on_first_frame
                votes.append(cosines if free else cosines.masked_fill(~near, -torch.inf))
                of.append(known[source].flatten(0, 1))
            best, chosen = torch.cat(votes).topk(protocol.topk)
            labels[token] = torch.softmax(best / protocol.temperature, 0) @ torch.cat(of)[chosen]
        labels = labels.reshape(HEIGHT, WIDTH, channels)
        predicted.append(labels)
        if frame in given:
            objects = grow[frame].clone()
            objects[..., 0] = 0
            labels = labels * grow[frame][..., :1] + objects
        known[frame] = labels
    return predicted


@dataclass(frozen=True)
class Clip:
    frames: tuple
    masks: tuple = ()
    size: tuple = (HEIGHT, WIDTH)
    given: tuple = ()
    name: str = "clip"
    first_is_given: bool = True

    def read_given(self):
        return dict(self.given)

    def to_disk(self, mask):
        return mask


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("frames", [(0,), (0, 4), (0, 1, 9), (3, 5)], ids=str)
def test_a_video_is_followed_with_all_that_was_given(frames, name, monkeypatch):
    protocol, features = SMALL[name], drifting()
    given = {frame: soft(channels, frame) for frame, channels in zip(frames, (3, 5, 2))}
    expected = follow_plainly(features, given, protocol)

    @contextmanager
    def encoded(encoder, paths, *_):
        assert paths == tuple(range(min(frames), FRAMES))
        yield iter(features[min(frames) :])

    monkeypatch.setattr("eval.propagation.follow.encode_ahead", encoded)
    callbacks = {frame: lambda grid, new=new: new for frame, new in given.items()}
    how = dict(device=torch.device("cpu"), bfloat16=False, watch=Stopwatch())
    found = list(follow(None, Clip(tuple(range(FRAMES))), callbacks, protocol, **how))
    assert len(found) == len(expected) == FRAMES - min(frames)
    for labels, plain in zip(found, expected):
        channels = labels.shape[-1]
        torch.testing.assert_close(labels, plain[..., :channels], atol=1e-9, rtol=0)
        assert not plain[..., channels:].any()


@pytest.mark.parametrize("name", ["videowalk", "cropmae"])
def test_copies_that_pad_do_not_outvote_an_object_that_they_lack(name, monkeypatch):
    """One token of the first frame looks a little more like the object, which covers the next two, than any other of its own."""
    width = 6
    angles = torch.zeros(3, 1, width)  # of features in a plane: cosines are those of their differences
    angles[0], angles[1] = 1.5, 0.2
    angles[0, 0, 2] = 0.1
    features = torch.stack([angles.cos(), angles.sin()], -1)  # (frames, h, w, 2)
    background, late = torch.tensor([1.0, 0.0]).expand(1, width, 2), torch.tensor([0.0, 1.0]).expand(1, width, 2)

    @contextmanager
    def encoded(*_):
        yield iter(features)

    monkeypatch.setattr("eval.propagation.follow.encode_ahead", encoded)
    given = {0: lambda grid: background, 1: lambda grid: late}
    how = dict(device=torch.device("cpu"), bfloat16=False, watch=Stopwatch())
    *_, labels = follow(None, Clip(tuple(range(3))), given, YTVOS[name], **how)
    assert (labels[..., 1] > 0.5).all()


@pytest.mark.parametrize(
    ("name", "repeats"), [("dino", 0), ("dinov3", 0), ("videowalk", 0), ("videowalk", 3), ("cropmae", 3)]
)
def test_tiles_equal_the_definition_with_several_frames_that_gave_masks(name, repeats):
    protocol = replace(PROTOCOLS[name], radius=4)
    features = drifting(7)
    labels = torch.stack([soft(4, number) for number in range(6)])
    for given in (1, 3, 6):
        case = (features[6], features[:6], labels, protocol, repeats)
        expected = propagate_plain(*case, given=given)
        torch.testing.assert_close(propagate(*case, given=given, tile=5), expected, atol=1e-9, rtol=0)
    free = propagate_plain(*case[:4], given=6)
    assert protocol.window_on_first_frame == torch.equal(free, propagate_plain(*case[:4], given=1))


def test_new_objects_take_their_share_of_a_token():
    labels = torch.tensor([[[0.5, 0.5], [1.0, 0.0], [0.2, 0.8]]])
    new = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.25, 0.0, 0.0, 0.75], [0.0, 0.0, 0.0, 1.0]]])
    joined = join_labels(labels, new)
    torch.testing.assert_close(joined, torch.tensor([[[0.5, 0.5, 0, 0], [0.25, 0, 0, 0.75], [0, 0, 0, 1.0]]]))
    unseen = join_labels(labels, new[..., :1] ** 0)  # too small for any token
    torch.testing.assert_close(unseen, labels)


@pytest.mark.parametrize("name", ["dino", "videowalk"])
def test_given_pixels_are_written_as_they_are_and_nothing_before_them(name, tmp_path):
    """A clip whose first frame gives no object; object 1 is given in frame 1, and object 4 in frame 3, where it appears."""
    first, later = np.zeros((64, 96), np.uint8), np.zeros((64, 96), np.uint8)
    first[8:40, 10:50], later[20:60, 40:81] = 1, 4
    colors = np.array([(0, 160, 0), (255, 0, 0), (0, 0, 255)], np.uint8)
    frames, masks = [], []
    for index in range(6):
        frames.append(tmp_path / f"{index:05d}.jpg")
        Image.fromarray(colors[np.where((later > 0) & (index >= 3), 2, first)]).save(frames[-1])
        masks.append(tmp_path / "masks" / f"{index:05d}.png")
    write_mask(masks[1], first, list(range(256)) * 3)
    clip = Clip(tuple(frames), tuple(masks), (64, 96), ((1, first), (3, later)))
    protocol = replace(PROTOCOLS[name], frame=replace(PROTOCOLS[name].frame, pixels=64, multiple=32))
    out = tmp_path / "out"
    segment_video(load_encoder("pixels/4").encoder, clip, protocol, out, device=torch.device("cpu"))
    written = [np.asarray(Image.open(out / mask.name)) for mask in masks]
    assert not written[0].any()
    np.testing.assert_array_equal(written[1], first)
    assert set(np.unique(written[2])) == {0, 1}
    np.testing.assert_array_equal(written[3] == 4, later == 4)
    assert np.mean((written[3] == 1) == ((first == 1) & (later == 0))) > 0.9
    for mask in written[4:]:
        assert np.mean((mask == 4) == (later == 4)) > 0.9
        assert set(np.unique(mask)) == {0, 1, 4}
