"""Small synthetic copies of the benchmarks, drawn once, and the `data` command."""

import argparse
from pathlib import Path

import pytest

from eval.data import command
from flsl.runtime.errors import run_command

SMALL = {
    "images": "--count 9 --classes 3 --height 48 --width 64",
    "davis": "--sequences 2 --train-sequences 1 --frames 3 --height 72 --width 96",
    "vip": "--videos 2 --frames 3 --height 72 --width 96",
    "jhmdb": "--clips 2 --train-clips 1 --frames 3 --height 72 --width 96",
    "ytvos": "--videos 2 --train-videos 1 --frames 4 --height 72 --width 96",
    "coco": "--count 5 --val-count 3 --height 96 --width 128",
    "segment": "--count 3 --val-count 2 --height 96 --width 128",
    "uavdt": "--sequences 1 --train-sequences 3 --frames 3 --height 96 --width 160",
}


def run_data(*words: object) -> int:
    """Run `python -m eval data WORDS...` in this process; returns the exit code."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args([str(word) for word in words])
    return run_command(lambda: command.run(arguments))


def synthesize_small(benchmark: str, root: Path, *more: object) -> int:
    return run_data("synthesize", benchmark, root, *SMALL[benchmark].split(), *more)


@pytest.fixture(scope="session")
def data_command():
    """`run(words...) -> exit code`."""
    return run_data


@pytest.fixture(scope="session")
def draw_small():
    """`draw(benchmark, root, words...) -> exit code`: a synthesis of a few pictures."""
    return synthesize_small


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> dict[str, Path]:
    """A finished small copy of each benchmark; to be read only."""
    roots = {benchmark: tmp_path_factory.mktemp("drawn") / benchmark for benchmark in SMALL}
    for benchmark, root in roots.items():
        assert synthesize_small(benchmark, root) == 0
    return roots
