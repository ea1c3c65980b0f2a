"""The feed keeps the host near a GPU, which is played here."""

from types import SimpleNamespace

import torch

from pretrain import feed
from pretrain.dataset import find_images
from pretrain.recipe import read_recipe


class Stream:
    def record_event(self, event):
        return event


class Event:
    """Stands for the end of a step."""

    queued = 0

    def __init__(self, blocking):
        assert blocking  # a core that waits is the loader's
        Event.queued += 1

    def synchronize(self):
        Event.queued -= 1


def test_the_host_is_at_most_two_steps_ahead_of_a_gpu(recipe_file, images, monkeypatch):
    recipe = read_recipe(recipe_file, ["runtime.compile=False"])
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(feed, "load", lambda paths, recipe, ranks, order: iter(order))
    monkeypatch.setattr(feed.Feed, "_upload", lambda self, samples, aside: [])
    ranks = SimpleNamespace(rank=0, world=1, device=torch.device("cuda", 0))
    ahead = [Event.queued for _ in feed.Feed(find_images(images), recipe, ranks, 0)]
    assert ahead == [0, 1, 2, 2, 2, 2]
