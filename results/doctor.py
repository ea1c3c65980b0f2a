"""What this machine can run: versions, GPUs, memory, disk, and the traps that stop an evaluation after an hour."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from results.benchmarks import BENCHMARKS
from results.environment import collect_environment

State = Literal["ok", "warning", "missing"]
OLDEST_PYTHON = (3, 10)
HEADLESS = "pip uninstall -y opencv-python opencv-python-headless && pip install --no-deps opencv-python-headless"
CORE = ("python", "torch", "timm", "safetensors")  # what every adapter and pretraining need

# Runs in its own process: it imports torch and compiled packages, any of which may be broken.
PROBE = """
import importlib.util, json
found = {"errors": {}}
for name in ("torch", "torchvision", "timm", "cv2", "safetensors", "pycocotools.mask", "faster_coco_eval", "mmengine", "mmcv"):
    try:
        module = __import__(name, fromlist=["_"])
        found[name] = str(getattr(module, "__version__", "present"))
    except Exception as error:
        found["errors"][name] = f"{type(error).__name__}: {error}"
if "torch" in found:
    import torch
    found["cuda"] = torch.version.cuda
    found["gpus"] = [
        {"name": torch.cuda.get_device_name(i), "gib": torch.cuda.get_device_properties(i).total_memory / 2**30}
        for i in range(torch.cuda.device_count())
    ]
if "mmcv" in found:
    found["compiled operators"] = importlib.util.find_spec("mmcv._ext") is not None
if importlib.util.find_spec("mmdet") is None:
    found["errors"]["mmdet"] = "not installed"
print("PROBE " + json.dumps(found))
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and what to do if it is not as it should be."""

    name: str
    state: State
    found: str
    remedy: str = ""


def examine(folder: Path = Path(".")) -> list[Check]:
    """Look at Python, packages, processor, memory, GPUs and the disk under `folder`."""
    environment = collect_environment()
    probe = _probe()
    checks = [_python(environment), *_packages(probe), _opencv(probe), _operators(probe), _gpus(probe)]
    checks += [_memory(environment), _disk(folder)]
    return checks


def abilities(checks: list[Check], gpu_gib: float) -> list[Check]:
    """Return which programs can run here, from the state of what they need; `gpu_gib` is the largest GPU's memory."""
    state = {check.name: check.state for check in checks}

    def ability(name: str, needs: Sequence[str], found: str) -> Check:
        lacking = [need for need in needs if state[need] == "missing"]
        if lacking:
            return Check(name, "missing", f"needs {', '.join(lacking)}", "see above")
        return Check(name, "ok", found)

    able = [
        ability("tables, leaderboard", (), "everything is there"),
        ability("pretrain", CORE, "on the GPU" if gpu_gib else "demo size; the published recipes need GPUs"),
    ]
    for benchmark in BENCHMARKS.values():
        where = ability(benchmark.command, (*CORE, *benchmark.needs), "on the GPU" if gpu_gib else "on the CPU")
        needed = benchmark.costs.gpu_gib
        if where.state == "ok" and gpu_gib < needed:
            remedy = f"full size needs GPUs of {needed} GiB or more (an estimate); on this machine use a smoke recipe"
            where = Check(where.name, "warning", where.found, remedy)
        able.append(where)
    return able


def largest_gpu(checks: list[Check]) -> float:
    """Return the memory of the largest GPU in GiB, 0 without one."""
    found = next(check.found for check in checks if check.name == "gpu")
    sizes = [float(part.rsplit("(", 1)[1].split(" ")[0]) for part in found.split(", ") if "GiB)" in part]
    return max(sizes, default=0.0)


def _probe() -> dict[str, Any]:
    try:
        done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=300)
        lines = [line for line in done.stdout.splitlines() if line.startswith("PROBE ")]
        if lines:
            return json.loads(lines[-1].removeprefix("PROBE "))
        reason = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        reason = "it took longer than five minutes"
    return {"errors": {"imports": f"the packages could not be tried: {reason}"}}


def _python(environment: Mapping[str, Any]) -> Check:
    good = sys.version_info >= OLDEST_PYTHON
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Check(
        "python", "ok" if good else "missing", environment["python"], "" if good else f"install Python {oldest}"
    )


def _packages(probe: Mapping[str, Any]) -> list[Check]:
    checks = []
    for name in (
        "torch",
        "torchvision",
        "timm",
        "safetensors",
        "pycocotools.mask",
        "faster_coco_eval",
        "mmengine",
        "mmcv",
    ):
        error = probe["errors"].get(name) or ("" if name in probe else probe["errors"].get("imports", "not tried"))
        remedy = "make setup" if error else ""
        checks.append(Check(name, "missing" if error else "ok", error or probe[name], remedy))
    error = probe["errors"].get("mmdet") or probe["errors"].get("imports", "")
    return [*checks, Check("mmdet", "missing" if error else "ok", error or "installed", "make setup" if error else "")]


def _opencv(probe: Mapping[str, Any]) -> Check:
    error = probe["errors"].get("cv2") or ("" if "cv2" in probe else "could not be tried")
    if not error:
        return Check("opencv", "ok", probe["cv2"])
    if "libGL" in error or "libgthread" in error or "libxcb" in error:
        remedy = f"this server has no display libraries; use OpenCV without them, installed last: {HEADLESS}"
        return Check("opencv", "missing", error, remedy)
    return Check("opencv", "missing", error, "make setup")


def _operators(probe: Mapping[str, Any]) -> Check:
    if probe.get("compiled operators"):
        return Check("detector operators", "ok", "compiled in mmcv")
    if "mmcv" in probe and "torchvision" in probe:
        return Check("detector operators", "ok", "mmcv has none; torchvision's are used")
    return Check("detector operators", "missing", "neither mmcv nor torchvision has them", "make setup")


def _gpus(probe: Mapping[str, Any]) -> Check:
    gpus = probe.get("gpus", [])
    if gpus:
        return Check("gpu", "ok", ", ".join(f"{gpu['name']} ({gpu['gib']:.0f} GiB)" for gpu in gpus))
    if shutil.which("nvidia-smi"):
        build = f"torch {probe.get('torch', '?')} is built for CUDA {probe.get('cuda')}"
        return Check(
            "gpu", "warning", f"a driver is there, but torch sees no GPU ({build})", "install torch for its CUDA"
        )
    return Check("gpu", "warning", "none", "everything runs on the CPU, small sizes only in reasonable time")


def _memory(environment: Mapping[str, Any]) -> Check:
    try:
        gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return Check("memory", "warning", "unknown")
    found = f"{gib:.0f} GiB, {environment['cpus']} cores ({environment['processor']})"
    return Check(
        "memory", "ok" if gib >= 8 else "warning", found, "" if gib >= 8 else "8 GiB or more for the detectors"
    )


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 2**30
    enough = free >= 20
    return Check("disk", "ok" if enough else "warning", f"{free:.0f} GiB free under {folder.resolve()}",
                 "" if enough else "20 GiB or more for COCO and its outputs")  # fmt: skip
