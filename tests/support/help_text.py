"""What a program's `--help` says, and that it loads nothing that takes long: no clock, which other programs would disturb."""

import re
import subprocess
import sys

from support.checkout import ROOT

# Each takes a tenth of a second or more.
SLOW = {
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pandas",
    "scipy",
    "cv2",
    "PIL",
    "matplotlib",
    "pydantic",
    "mmengine",
    "mmcv",
}


def help_of(*words: str) -> str:
    """Return what `python -m WORDS --help` prints; holds that it ends well and imports nothing slow."""
    command = [sys.executable, "-X", "importtime", "-m", *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = {name.partition(".")[0] for name in re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.M)}
    assert "argparse" in loaded  # the pattern finds what it is for
    assert not loaded & SLOW, loaded & SLOW
    return done.stdout
