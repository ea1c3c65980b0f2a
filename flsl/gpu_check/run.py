"""Run the parts one after the other, each inside its share of the time, and write the report as it grows."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from flsl.gpu_check.parts import ROOT, Part
from flsl.gpu_check.report import NOT_CHECKED, OUT_OF_TIME, PartResult, Report, StepResult, table
from flsl.gpu_check.steps import Surroundings, run_step
from flsl.runtime.device import cores
from flsl.runtime.errors import UserError

REPORT, LOG = "gpu-check.json", "gpu-check.log"


def check(
    parts: Sequence[Part],
    out: Path,
    *,
    device: str,
    minutes: float,
    path: Iterable[str] = (),
    begin: float | None = None,
) -> Report:
    """Run the parts; the report is in `out` after every step.

    A part's limit is its share, among the parts that can still be run, of the time that is left: what one does not need,
    later ones have. Neighbors that may run beside each other do, and have the largest share of theirs.

    Args:
        parts: in order.
        out: folder for report and log.
        device: where they compute, for the report; the parts' commands name it themselves.
        minutes: for all of them.
        path: folders of further packages.
        begin: when the minutes began, by `time.monotonic`; None is now.
    """
    begin = time.monotonic() if begin is None else begin
    out.mkdir(parents=True, exist_ok=True)
    log = out / LOG
    log.write_text("")
    report = Report(
        device,
        minutes,
        shlex.join(["python", "-m", "flsl", *sys.argv[1:]]),
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    path = [*path, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    obstacles = {part.name: _obstacle(part, device, path) for part in parts}
    groups = [list(group) for _, group in groupby(parts, key=lambda part: part.beside or part.name)]
    shares = [max((p.seconds for p in group if not obstacles[p.name]), default=0.0) for group in groups]
    writing = threading.Lock()

    def write() -> None:
        with writing:
            report.seconds = round(time.monotonic() - begin, 1)
            report.write(out / REPORT)

    with _commands_can_be_interrupted(), tempfile.TemporaryDirectory(prefix="flsl-gpucheck-") as folder:
        for index, group in enumerate(groups):
            left = max(begin + 60 * minutes - time.monotonic(), 0)
            limit = round(left * shares[index] / (sum(shares[index:]) or 1), 1)
            results = [PartResult(part.name, part.title) for part in group]
            report.parts += results
            todo = []
            for part, result in zip(group, results):
                if obstacle := obstacles[part.name]:
                    result.status, result.reason = NOT_CHECKED, obstacle
                    print(f"{part.name}: {part.title}", flush=True)
                else:
                    result.limit_seconds = limit
                    todo.append((part, result))
                    print(f"{part.name}: {part.title}, at most {limit:.0f} s", flush=True)
            threads = None if len(todo) < 2 else max(cores() // len(todo), 1)
            around = Surroundings(ROOT, log, path, threads, threading.Event())
            _run_beside([partial(_run_part, *pair, Path(folder), around, write) for pair in todo], around.stop)
            for result in results:
                said = f"{result.status}{f': {result.reason}' if result.reason else ''}"[:300]
                print(f"  {f'{result.name}: ' if len(results) > 1 else ''}{said}", flush=True)
            write()
    report.conclude()
    write()
    print(f"\n{table(report)}\n\n{out / REPORT}", flush=True)
    return report


@contextmanager
def _commands_can_be_interrupted() -> Iterator[None]:
    """End the commands, which have sessions of their own, at SIGTERM as at Ctrl-C. Where this process ignores Ctrl-C, as jobs in
    a shell's background do, its commands would too, and never end in time."""
    before = {signal.SIGTERM: signal.getsignal(signal.SIGTERM)}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        before[signal.SIGINT] = signal.SIG_IGN
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_beside(calls: Sequence[Callable[[], None]], stop: threading.Event) -> None:
    """Make calls beside each other; where one fails or Ctrl-C comes, `stop` tells all of them."""
    with ThreadPoolExecutor(max(len(calls), 1)) as pool:
        try:
            for done in [pool.submit(call) for call in calls]:
                done.result()
        except BaseException:
            stop.set()
            raise


def _run_part(part: Part, result: PartResult, folder: Path, around: Surroundings, write: Callable[[], None]) -> None:
    """Run a part's steps; the time that one leaves is the next one's."""
    begin = time.monotonic()
    work = folder / part.name
    work.mkdir()
    for step in part.steps:
        left = begin + result.limit_seconds - time.monotonic()
        if left <= 0:
            found = StepResult(step.name, list(step.words), OUT_OF_TIME, "no time was left for it")
        else:
            found = run_step(step, left, work, around)
        result.steps.append(found)
        result.seconds = round(time.monotonic() - begin, 1)
        write()
    result.conclude()


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
    subprocess.run([sys.executable, "-W", "ignore", "-m", "compileall", "-q", "-j0", str(folder)])  # once for all
