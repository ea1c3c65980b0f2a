"""Run the parts one after the other, each inside its share of the time, and write the report as it grows."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path

from flsl.gpu_check.parts import ROOT, Part
from flsl.gpu_check.report import NOT_CHECKED, OUT_OF_TIME, PartResult, Report, StepResult, table
from flsl.gpu_check.steps import run_step
from flsl.runtime.errors import UserError

REPORT, LOG = "gpu-check.json", "gpu-check.log"


def check(parts: Sequence[Part], out: Path, *, device: str, minutes: float, path: Iterable[str] = ()) -> Report:
    """Run the parts; the report is in `out` after every step.

    A part's limit is its share, among the parts that can still be run, of the time that is left: what one does not need,
    later ones have.

    Args:
        parts: in order.
        out: folder for report and log.
        device: where they compute, for the report; the parts' commands name it themselves.
        minutes: for all of them.
        path: folders of further packages.
    """
    begin = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    log = out / LOG
    log.write_text("")
    report = Report(device, minutes, shlex.join(sys.argv), datetime.now(timezone.utc).isoformat(timespec="seconds"))
    path = [*path, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    obstacles = [_obstacle(part, device, path) for part in parts]
    with tempfile.TemporaryDirectory(prefix="flsl-gpucheck-") as folder:
        for index, (part, obstacle) in enumerate(zip(parts, obstacles)):
            result = PartResult(part.name, part.title)
            report.parts.append(result)
            if obstacle:
                result.status, result.reason = NOT_CHECKED, obstacle
                print(f"{part.name}: {part.title}", flush=True)
            else:
                left = max(begin + 60 * minutes - time.monotonic(), 0)
                later = [p.seconds for p, stopped in zip(parts[index:], obstacles[index:]) if not stopped]
                result.limit_seconds = round(left * part.seconds / sum(later), 1)
                print(f"{part.name}: {part.title}, at most {result.limit_seconds:.0f} s", flush=True)
                _run_part(part, result, Path(folder), log, path, lambda: _write(report, out, begin))
            print(f"  {result.status}{f': {result.reason}' if result.reason else ''}"[:300], flush=True)
            _write(report, out, begin)
    report.conclude()
    _write(report, out, begin)
    print(f"\n{table(report)}\n\n{out / REPORT}", flush=True)
    return report


def _run_part(
    part: Part, result: PartResult, folder: Path, log: Path, path: list[str], write: Callable[[], None]
) -> None:
    """Run a part's steps; the time that one leaves is the next one's."""
    begin = time.monotonic()
    work = folder / part.name
    work.mkdir()
    for step in part.steps:
        left = begin + result.limit_seconds - time.monotonic()
        if left <= 0:
            found = StepResult(step.name, list(step.words), OUT_OF_TIME, "no time was left for it")
        else:
            found = run_step(step, left, root=ROOT, work=work, log=log, path=path)
        result.steps.append(found)
        result.seconds = round(time.monotonic() - begin, 1)
        write()
    result.conclude()


def _write(report: Report, out: Path, begin: float) -> None:
    report.seconds = round(time.monotonic() - begin, 1)
    report.write(out / REPORT)


def _obstacle(part: Part, device: str, path: list[str]) -> str:
    """Return why a part cannot be run here; empty where it can."""
    if part.needs_gpu and device == "cpu":
        return "needs a CUDA device"
    if any(step.words[0] == "pytest" for step in part.steps) and not (ROOT / "tests").is_dir():
        return "its tests come with the clone, not with the wheel"
    missing = [package for package in part.packages if not _is_there(package, path)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def _is_there(package: str, path: list[str]) -> bool:
    """Tell whether the commands, which see `path` too, can import a package."""
    if find_spec(package) is not None:
        return True
    return any(Path(folder, package).is_dir() or Path(folder, f"{package}.py").is_file() for folder in path)


def install_wheels(wheels: Path, folder: Path) -> None:
    """Install all wheels of a folder into another one, without network.

    Raises:
        UserError: there are none, or one does not fit this Python.
    """
    files = sorted(wheels.glob("*.whl"))
    if not files:
        raise UserError(f"--wheels {wheels} holds no *.whl. `make gpu-wheels` gathers them where there is a network.")
    words = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-compile",
        "--disable-pip-version-check",
    ]
    done = subprocess.run(
        [sys.executable, *words, "--target", str(folder), *map(str, files)], capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(
            f"--wheels {wheels} cannot be installed for Python {sys.version.split()[0]}: {done.stderr.strip()[-300:]}"
        )
