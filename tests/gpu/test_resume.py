"""Six steps of a training at once, once more, and as 3 + 3: the same bytes where the recipe promises them."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "resumed_runs.py"
MODES, PATCH_SIZES = ("deterministic", "default"), (16, 8)


@pytest.fixture(scope="module")
def runs(device, tmp_path_factory):
    """What all of them printed: beside each other, each in a process of its own, since a setting of cuBLAS holds for a whole one."""
    started = {}
    for mode, patch_size in itertools.product(MODES, PATCH_SIZES):
        words = [SCRIPT, device, patch_size, int(mode == "deterministic"), tmp_path_factory.mktemp("runs")]
        started[mode, patch_size] = subprocess.Popen(
            [sys.executable, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    try:
        yield {name: (*one.communicate(), one.returncode) for name, one in started.items()}
    finally:
        for one in started.values():
            one.kill()
            one.wait()


@pytest.mark.slow  # on the CPU the tests of pretraining kill and resume runs
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("patch_size", PATCH_SIZES)
def test_resumed_and_repeated_runs_are_the_same(patch_size, mode, device, runs, record_property):
    """By default a GPU may add in another order each time: what comes of that is noted, and fails nothing."""
    printed, said, code = runs[mode, patch_size]
    assert code == 0, said[-2000:]
    found = json.loads(printed.splitlines()[-1])
    record_property("mode", mode)
    record_property("patch_size", patch_size)
    record_property("encoder", found["encoder"])
    for name in ("again", "resumed"):
        one = found[name]
        record_property(name, "same" if one["same"] else f"{one['first']} by {one.get('largest_difference', 0):.1e}")
    if mode == "deterministic" or device.type == "cpu":
        assert found["again"]["same"], found
        assert found["resumed"]["same"], found
