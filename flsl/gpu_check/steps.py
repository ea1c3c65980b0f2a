"""Run one command of a part inside its time, and read what it found."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flsl.gpu_check.report import FAILED, NOT_CHECKED, OUT_OF_TIME, PASSED, StepResult

GRACE = 10.0  # seconds that a command has to end after Ctrl-C, before it is killed
TOLD = 300  # characters of what a failed command said last
NO_TESTS = 5  # pytest's exit code where none was chosen or all files were skipped


@dataclass(frozen=True)
class Step:
    """One command: the words after `python -m`, in which `{found}` is the file that it writes what it found to."""

    name: str
    words: tuple[str, ...]
    kind: Literal["rows", "tests"]  # a JSON list of rows, or pytest's XML


@dataclass(frozen=True)
class Surroundings:
    """What commands that run beside each other have in common."""

    root: Path  # working directory: the repository
    log: Path  # gets everything that a command prints, when it has ended
    path: list[str]  # for PYTHONPATH
    threads: int | None  # for products on the CPU; more would wait for each other beside other commands
    stop: threading.Event  # kills them when it is set


def run_step(step: Step, seconds: float, work: Path, around: Surroundings) -> StepResult:
    """Run a command for at most so many seconds.

    Args:
        step: what to run.
        seconds: how long it may take.
        work: an existing folder for what is temporary, of this part alone.
        around: what it shares with others.
    """
    found = work / f"{step.name.replace(' ', '-')}.found"
    words = [word.format(found=found, work=work) for word in step.words]
    result = StepResult(step.name, [word.replace(f"{work}/", "") for word in words])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(around.path),
        "PYTHONUNBUFFERED": "1",
    }
    if around.threads is not None:
        # Threads that wait spin for a while otherwise, on cores that the others could use.
        environment |= {"OMP_NUM_THREADS": str(around.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    begin = time.monotonic()
    printed = found.with_suffix(".printed")
    with open(printed, "w") as file:
        command = [sys.executable, "-m", *words]
        process = subprocess.Popen(
            command,
            cwd=around.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        late = _wait(process, seconds, around.stop)
    result.seconds, result.exit_code = time.monotonic() - begin, process.returncode
    result.status = OUT_OF_TIME if late else PASSED if process.returncode == 0 else FAILED
    if late:
        result.reason = f"more than {seconds:.0f} s"
    try:
        _read(step, found, result)
    except (ValueError, SyntaxError) as error:  # no JSON, no XML: written in part, by a command that was killed, say
        unreadable = f"{found.name} cannot be read ({error})"
        result.status = result.status if late else FAILED
        result.reason = f"{result.reason}; {unreadable}" if result.reason else unreadable
    said = printed.read_text(errors="replace").replace(f"{around.root}/", "").strip()
    with open(around.log, "a") as file:  # at once: other commands may run beside this one
        file.write(f"\n$ python -m {' '.join(words)}\n{said}\n")
    if result.status == FAILED and not result.reason:
        result.reason = f"exit code {process.returncode}: {said[-TOLD:]}"
    return result


def _wait(process: subprocess.Popen, seconds: float, stop: threading.Event) -> bool:
    """Wait for a command and its children; returns whether it had to be stopped."""
    end = time.monotonic() + max(seconds, 0)
    try:
        while process.poll() is None and time.monotonic() < end:
            if stop.wait(0.05):
                raise InterruptedError
        if process.poll() is not None:
            return False
        for _ in range(2):  # of a test that trains, the first one ends the training alone
            _signal(process, signal.SIGINT)  # pytest writes what it has
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE / 2)
                break
        _signal(process, signal.SIGKILL)  # whatever is left of it, which would disturb what is timed next
        return True
    finally:
        if process.poll() is None:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen, number: int) -> None:
    """Send a signal to a command and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _read(step: Step, found: Path, result: StepResult) -> None:
    """Put what a command wrote into its result."""
    if not found.is_file():
        return
    if step.kind == "rows":
        result.rows = json.loads(found.read_text())
        return
    skipped = []
    for case in ElementTree.parse(found).getroot().iter("testcase"):
        if case.get("name") is None:
            continue  # what an interruption left of one
        check = _check(case)
        result.checks.append(check)
        result.rows += [{"what": check["name"], **row} for row in _rows(case)]
        if check["outcome"] == "skipped":
            skipped.append(check["message"].removeprefix("Skipped: "))
    if any(check["outcome"] == FAILED for check in result.checks):
        result.status = FAILED
    if skipped:
        left_out = f"not checked: {'; '.join(dict.fromkeys(skipped))}"
        result.reason = f"{result.reason}; {left_out}" if result.reason else left_out
    if result.exit_code == NO_TESTS:
        result.status, result.reason = NOT_CHECKED, result.reason or "no test ran"


def _check(case: ElementTree.Element) -> dict[str, Any]:
    """Return one test of pytest's XML."""
    name = f"{case.get('classname', '').split('.')[-1]}.{case.get('name')}".strip(".")
    check: dict[str, Any] = {"name": name, "outcome": PASSED, "seconds": float(case.get("time", 0)), "message": ""}
    for kind, outcome in (("failure", FAILED), ("error", FAILED), ("skipped", "skipped")):
        for found in case.iter(kind):
            # A file that is skipped when it is read says why in the text, after its place.
            text = found.get("message") or ""
            if text == "collection skipped":
                text = (found.text or "").rpartition("Skipped: ")[2].rstrip("')")
            check |= {"outcome": outcome, "message": text[:TOLD]}
    return check


def _rows(case: ElementTree.Element) -> list[dict[str, Any]]:
    """Return the figures that a test recorded (`record_property`), together as one row."""
    properties = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
    return [{name: _number(value) for name, value in properties.items()}] if properties else []


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
