"""What a result was computed with: versions, hardware and the state of the code. Imports nothing heavy."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch", "torchvision", "timm", "numpy", "opencv-python", "opencv-python-headless", "pycocotools",
    "faster-coco-eval", "onedl-mmengine", "onedl-mmcv", "onedl-mmdetection", "mmengine", "mmcv", "mmdet",
    "safetensors", "pandas", "pillow", "simplejpeg",
)  # fmt: skip


def collect_environment() -> dict[str, Any]:
    """Return Python, platform, processor, package versions, GPUs and world size, as plain values for a record.

    Versions come from package metadata, so nothing is imported; where torch is loaded already it is asked for its
    CUDA version and the GPUs that this process sees, otherwise `nvidia-smi` is.
    """
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads() if torch else None,
        "packages": package_versions(),
        "cuda": torch.version.cuda if torch else None,
        "gpus": _gpus(torch),
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
    }


def package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that can move a score; absent ones are left out."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def collect_code() -> dict[str, Any]:
    """Return the git commit of this program and whether tracked files differ from it; None where it is no clone."""
    root = Path(__file__).resolve().parent.parent
    commit = _output(["git", "-C", str(root), "rev-parse", "HEAD"])
    inside = _output(["git", "-C", str(root), "rev-parse", "--show-toplevel"])
    # An installed copy may lie inside somebody else's repository, whose commit says nothing about this code.
    if not commit or not inside or Path(inside).resolve() != root:
        return {"commit": None, "dirty": None}
    # Without its optional lock: asking changes nothing in the clone, and a disk that is full leaves no half lock behind.
    command = ["git", "--no-optional-locks", "-C", str(root), "status", "--porcelain", "--untracked-files=no"]
    changes = _output(command)
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def _gpus(torch: Any) -> list[str]:
    if torch is not None:
        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if not shutil.which("nvidia-smi"):
        return []
    names = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return names.splitlines() if names else []


def _output(command: list[str]) -> str | None:
    """Return what a command printed, None if it failed or is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
