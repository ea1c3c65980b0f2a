"""The report of a check of a machine: written whole after each step, shown as a table.

status    passed, failed, out of time, not checked (or running, while a report grows)
rows      figures: one dictionary a row, text and whole numbers name it, the others are measured
checks    single tests: name, outcome (passed, failed, skipped), seconds, and what a failed one said
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError
from flsl.runtime.files import write_text

SCHEMA_VERSION = 1
PASSED, FAILED, OUT_OF_TIME, NOT_CHECKED, RUNNING = "passed", "failed", "out of time", "not checked", "running"
WIDTH = 150  # of a line of the table


@dataclass
class StepResult:
    """One command of a part."""

    name: str
    command: list[str]  # after `python -m`
    status: str = RUNNING
    reason: str = ""  # of every status but `passed`
    seconds: float = 0.0
    exit_code: int | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class PartResult:
    """One part: what it is about, how long it had, and its steps."""

    name: str
    title: str
    limit_seconds: float = 0.0
    status: str = RUNNING
    reason: str = ""
    seconds: float = 0.0
    steps: list[StepResult] = field(default_factory=list)

    def conclude(self) -> None:
        """Derive status and reason from the steps: the worst of them counts, and what was left out is named."""
        if not self.steps:
            return
        found = [step.status for step in self.steps]
        self.status = next((s for s in (FAILED, OUT_OF_TIME, PASSED) if s in found), NOT_CHECKED)
        reasons = [f"{step.name}: {step.reason}" for step in self.steps if step.reason]
        self.reason = "; ".join(dict.fromkeys(reasons))


@dataclass
class Report:
    """All parts, and what they ran on."""

    device: str
    minutes: float
    command: str
    created: str  # ISO 8601, UTC
    status: str = RUNNING
    seconds: float = 0.0
    parts: list[PartResult] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def conclude(self) -> None:
        """Derive the status of the whole: parts that were not checked fail nothing, but alone they pass nothing."""
        found = [part.status for part in self.parts]
        worst = FAILED if {FAILED, OUT_OF_TIME} & set(found) else PASSED if PASSED in found else NOT_CHECKED
        self.status = worst

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")


def read_report(path: Path) -> Report:
    """Read a report that was written earlier.

    Raises:
        UserError: the file is none.
    """
    try:
        content = json.loads(path.read_text())
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version {content['schema_version']}")
        parts = [
            PartResult(**{**part, "steps": [StepResult(**step) for step in part["steps"]]}) for part in content["parts"]
        ]
        return Report(**{**content, "parts": parts})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no report of gpucheck ({error}): expected is the gpu-check.json of a run of this version."
        ) from error


def table(report: Report) -> str:
    """Return the report as text: a line for each part, below it its figures, and what failed."""
    lines = [f"gpucheck on {report.device}: {report.status}, {report.seconds:.0f} s of {report.minutes * 60:.0f}", ""]
    for part in report.parts:
        lines.append(f"{part.status.upper():<12} {part.name:<11} {part.title} ({part.seconds:.0f} s)")
        if part.reason:
            lines.append(_cut(f"             {part.reason}"))
        for step in part.steps:
            if len(part.steps) > 1:
                lines.append(f"  {step.name}{'' if step.status == PASSED else f' ({step.status})'}")
            lines += [_cut(f"    {_row(row)}") for row in step.rows]
            outcomes = [check["outcome"] for check in step.checks]
            if outcomes:
                counts = ", ".join(f"{outcomes.count(o)} {o}" for o in ("passed", "failed", "skipped") if o in outcomes)
                lines.append(f"    {step.name}: {counts}")
            for check in step.checks:
                if check["outcome"] == FAILED:
                    lines.append(_cut(f"    FAILED {check['name']}: {check['message']}"))
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    """Return a row of figures as text: what names it first, then what was measured."""
    named, measured = [], []
    for key, value in row.items():
        if isinstance(value, float):
            measured.append(f"{key} {value:,.0f}" if abs(value) >= 1000 else f"{key} {value:.4g}")
        elif isinstance(value, bool | int):
            named.append(f"{key} {value}")
        elif isinstance(value, (dict, list)):
            measured.append(f"{key} {json.dumps(value)}")
        elif value is not None:
            named.append(str(value) if key in ("what", "side", "precision", "device") else f"{key} {value}")
    return f"{' '.join(named)}: {', '.join(measured)}" if measured else " ".join(named)


def _cut(line: str) -> str:
    line = " ".join(line.splitlines())
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
