"""Six steps of a training at once, once more, and as 3 + 3: the same bytes where the recipe promises them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "resumed_runs.py"


@pytest.mark.slow  # on the CPU the tests of pretraining kill and resume runs
@pytest.mark.parametrize("mode", ["deterministic", "default"])
@pytest.mark.parametrize("patch_size", [16, 8])
def test_resumed_and_repeated_runs_are_the_same(patch_size, mode, device, tmp_path, record_property):
    """By default a GPU may add in another order each time: what comes of that is noted, and fails nothing."""
    command = [sys.executable, SCRIPT, device, patch_size, int(mode == "deterministic"), tmp_path]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    record_property("mode", mode)
    record_property("patch_size", patch_size)
    record_property("encoder", found["encoder"])
    for name in ("again", "resumed"):
        one = found[name]
        record_property(name, "same" if one["same"] else f"{one['first']} by {one.get('largest_difference', 0):.1e}")
    if mode == "deterministic" or device.type == "cpu":
        assert found["again"]["same"], found
        assert found["resumed"]["same"], found
