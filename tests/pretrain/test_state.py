"""Training states are written beside the training, as they were when it went on, and hashed on the way."""

import threading

import torch

from flsl.runtime.files import sha256_of_file
from pretrain.feed import choose_workers
from pretrain.methods.flsl import Recipe
from pretrain.recipe import Runtime, read_recipe
from pretrain.state import Beside, StateFolder, on_host


def test_a_state_is_what_it_was_when_its_writing_began(tmp_path):
    states, weights = StateFolder(tmp_path, keep=2), torch.arange(1000.0)
    go, beside = threading.Event(), Beside()
    state = on_host({"model": {"weights": weights}, "recent": [{"step": 3, "loss": weights[7]}], "skipped": 0.0})
    beside.start(lambda: (go.wait(), states.save(3, state)))
    weights.zero_()  # the training goes on
    assert states.newest() is None
    go.set()
    beside.wait()
    assert states.newest() == (3, [])
    read = states.load(3, torch.device("cpu"))
    assert torch.equal(read["model"]["weights"], torch.arange(1000.0))
    assert (read["recent"][0]["loss"], read["skipped"]) == (7.0, 0.0)


def test_one_state_is_written_at_a_time(tmp_path):
    order, go, beside = [], threading.Event(), Beside()
    beside.start(lambda: (go.wait(10), order.append("first")))
    threading.Timer(0.05, go.set).start()
    beside.start(lambda: order.append("second"))
    beside.wait()
    assert order == ["first", "second"]


def test_the_newest_whole_state_is_gone_on_with_and_broken_ones_ahead_of_it_go(tmp_path):
    states = StateFolder(tmp_path, keep=2)
    for step in (2, 4, 6):
        broken = states.save(step, {"weights": torch.ones(9)})
    assert states.steps() == [6, 4]
    broken.write_bytes(broken.read_bytes()[:-1] + b"x")
    step, (complaint,) = states.newest()
    assert (step, f"{broken} is broken (its bytes differ" in complaint) == (4, True)
    states.save(5, {"weights": torch.ones(9)})
    assert (states.steps(), states.newest()) == ([5, 4], (5, []))


def test_the_hash_of_a_state_is_that_of_its_file(tmp_path):
    path = StateFolder(tmp_path, keep=1).save(5, {"weights": torch.randn(100_000)})
    assert sha256_of_file(path) in path.with_suffix(".json").read_text()


def test_loading_processes_follow_from_the_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    gpu, cpu, recipe = torch.device("cuda", 0), torch.device("cpu"), Recipe()
    assert (choose_workers(recipe, gpu), choose_workers(recipe, cpu)) == (15, 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert (choose_workers(recipe, gpu), choose_workers(recipe, cpu)) == (1, 1)
    assert choose_workers(Recipe(runtime=Runtime(workers=0)), gpu) == 0
    assert choose_workers(read_recipe(recipe, ["runtime.workers=3"]), cpu) == 3
