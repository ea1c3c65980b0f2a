"""What this machine can run: versions, GPUs, memory, disk, and the traps that stop an evaluation after an hour."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from results.benchmarks import BENCHMARKS
from results.environment import collect_environment

State = Literal["ok", "warning", "missing", "unknown"]  # the last: it could not be checked, and `found` says why
OLDEST_PYTHON = (3, 10)
HEADLESS = "pip uninstall -y opencv-python opencv-python-headless && pip install --no-deps opencv-python-headless"
CORE = ("python", "torch", "timm", "safetensors")  # what every adapter and pretraining need

PACKAGES = (
    "torch", "torchvision", "timm", "safetensors", "pycocotools.mask", "faster_coco_eval", "mmengine", "mmcv", "cv2",
)  # fmt: skip
PATIENCE = 300  # seconds for all packages to be imported
# What no look at a machine can tell -> how to find out.
BEYOND = {
    "data sets": "python -m eval data verify BENCHMARK DIR",
    "time and memory of fine-tuning at full size": "python -m eval coco|uavdt|segment ... --plan",
    "several GPUs together, and the network between nodes": "a short run under torchrun",
    "whether results are the published ones": "python -m results reproduce TABLE ...",
}

# Runs in its own process: it imports torch and compiled packages, any of which may be broken. What it says as it goes tells
# how far it came.
PROBE = """
import importlib, importlib.util, json, sys
def say(**found):
    print("PROBE " + json.dumps(found), flush=True)
for name in sys.argv[1:]:
    say(trying=name)
    try:
        say(**{name: str(getattr(importlib.import_module(name), "__version__", "present"))})
    except Exception as error:
        say(errors={name: " ".join(f"{type(error).__name__}: {error}".split())})
if "torch" in sys.modules and sys.modules["torch"]:
    import torch
    say(trying="the GPUs")
    say(cuda=torch.version.cuda, gpus=[
        {"name": torch.cuda.get_device_name(i), "gib": torch.cuda.get_device_properties(i).total_memory / 2**30}
        for i in range(torch.cuda.device_count())
    ])
if "mmcv" in sys.modules and sys.modules["mmcv"]:
    say(**{"compiled operators": importlib.util.find_spec("mmcv._ext") is not None})
say(**{"mmdet": "installed"} if importlib.util.find_spec("mmdet") else {"errors": {"mmdet": "not installed"}})
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and what to do if it is not as it should be."""

    name: str
    state: State
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Look at Python, packages, processor, memory, GPUs and the disk of the current folder."""
    environment = collect_environment()
    probe = _probe()
    names = [*(name for name in PACKAGES if name != "cv2"), "mmdet"]
    checks = [_python(environment), *(_package(probe, name) for name in names), _opencv(probe), _operators(probe)]
    return [*checks, _official_davis(), _gpus(probe), _memory(environment), _disk()]


def abilities(checks: list[Check], gpu_gib: float) -> list[Check]:
    """Return which programs can run here, from the state of what they need; `gpu_gib` is the largest GPU's memory."""
    state = {check.name: check.state for check in checks}

    def ability(name: str, needs: Sequence[str], found: str) -> Check:
        lacking = [need for need in needs if state[need] == "missing"]
        if lacking:
            return Check(name, "missing", f"needs {', '.join(lacking)}", "see above")
        if unknown := [need for need in needs if state[need] == "unknown"]:
            return Check(name, "unknown", f"needs {', '.join(unknown)}, which could not be checked", "see above")
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
    """Try the packages; returns version by name, GPUs, `errors` by name, and in `unknown` why the rest was not reached."""
    command = [sys.executable, "-c", PROBE, *PACKAGES]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, errors="replace")
        output, ended = done.stdout, ""
        if done.returncode:
            last = "".join(done.stderr.strip().splitlines()[-1:])
            ended = f"ended the process (code {done.returncode}) {last}".strip()
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        output = said if isinstance(said, str) else said.decode(errors="replace")
        ended = f"took over {PATIENCE} seconds"
    found: dict[str, Any] = {"errors": {}, "trying": "anything"}
    for line in output.splitlines():
        if line.startswith("PROBE "):
            item = json.loads(line.removeprefix("PROBE "))
            found["errors"] |= item.pop("errors", {})
            found |= item
    if ended:
        found["errors"][found["trying"]] = f"importing it {ended}"
    found["unknown"] = f"not checked, because trying {found['trying']} {ended}"
    return found


def _python(environment: Mapping[str, Any]) -> Check:
    good = sys.version_info >= OLDEST_PYTHON
    remedy = "" if good else f"install Python {'.'.join(map(str, OLDEST_PYTHON))}"
    return Check("python", "ok" if good else "missing", environment["python"], remedy)


def _package(probe: Mapping[str, Any], package: str) -> Check:
    if package in probe:
        return Check(package, "ok", probe[package])
    if package in probe["errors"]:
        return Check(package, "missing", probe["errors"][package], "make setup")
    return Check(package, "unknown", probe["unknown"], "repair that first")


def _opencv(probe: Mapping[str, Any]) -> Check:
    check = replace(_package(probe, "cv2"), name="opencv")
    if check.state == "missing" and any(library in check.found for library in ("libGL", "libgthread", "libxcb")):
        remedy = f"this server has no display libraries; use OpenCV without them, installed last: {HEADLESS}"
        return replace(check, remedy=remedy)
    return check


def _official_davis() -> Check:
    if find_spec("davis2017"):
        return Check("davis2017 (official)", "ok", "installed: --metric-backend official")
    remedy = (
        "only to check ours by it, same figures at a quarter of the speed (eval davis --metric-backend official): "
        "git clone https://github.com/davischallenge/davis2017-evaluation && pip install ./davis2017-evaluation"
    )
    return Check("davis2017 (official)", "ok", "not installed, not needed", remedy)


def _operators(probe: Mapping[str, Any]) -> Check:
    if probe.get("compiled operators"):
        return Check("detector operators", "ok", "compiled in mmcv")
    if "mmcv" in probe and "torchvision" in probe:
        return Check("detector operators", "ok", "mmcv has none; torchvision's are used")
    if {"mmcv", "torchvision"} - probe.keys() - probe["errors"].keys():
        return Check("detector operators", "unknown", probe["unknown"], "repair that first")
    return Check("detector operators", "missing", "neither mmcv nor torchvision has them", "make setup")


def _gpus(probe: Mapping[str, Any]) -> Check:
    if "gpus" not in probe:
        return Check("gpu", "unknown", "not checked: it takes a torch that can be imported", "make setup")
    if gpus := probe["gpus"]:
        return Check("gpu", "ok", ", ".join(f"{gpu['name']} ({gpu['gib']:.0f} GiB)" for gpu in gpus))
    if shutil.which("nvidia-smi"):
        build = f"torch {probe.get('torch', '?')} is built for CUDA {probe.get('cuda')}"
        found = f"a driver is there, but torch sees no GPU ({build})"
        return Check("gpu", "warning", found, "install torch for its CUDA")
    return Check("gpu", "warning", "none", "everything runs on the CPU, small sizes only in reasonable time")


def _memory(environment: Mapping[str, Any]) -> Check:
    try:
        gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return Check("memory", "unknown", "not checked: this system does not tell")
    found = f"{gib:.0f} GiB, {environment['cpus']} cores ({environment['processor']})"
    return _enough("memory", gib >= 8, found, "8 GiB or more for the detectors")


def _disk() -> Check:
    folder = Path(".")
    try:
        free = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        found = f"not checked: {folder} cannot be read ({error.strerror})"
        return Check("disk", "unknown", found, "go to another folder")
    found = f"{free:.0f} GiB free under {folder.resolve()}"
    return _enough("disk", free >= 20, found, "20 GiB or more for COCO and its outputs")


def _enough(name: str, enough: bool, found: str, wanted: str) -> Check:
    return Check(name, "ok", found) if enough else Check(name, "warning", found, wanted)
