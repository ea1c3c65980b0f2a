"""The packages import only whom they may, and stay light where they promise to be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "results": {"results", "flsl.runtime"},
    "flsl": {"flsl"},
    "pretrain": {"pretrain", "flsl"},
    "eval": {"eval", "flsl", "results"},
}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_whom_they_may(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                may = any(f"{name}.".startswith(f"{one}.") for one in PACKAGES[package])
                assert may or name.split(".")[0] not in PACKAGES, f"{path}:{node.lineno} imports {name}"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("flsl", "mmdet mmcv mmengine torch"),
        ("flsl.model", "mmdet mmcv mmengine"),
        ("flsl.checkpoint", "mmdet mmcv mmengine"),
        ("results.benchmarks", "torch pydantic pandas"),
        ("results.commands.table", "torch pydantic pandas"),
        ("results.store", "torch mmdet mmcv"),
        ("results.leaderboard", "torch mmdet mmcv"),
        ("pretrain.__main__", "torch"),
        ("eval.__main__", "torch pandas mmdet"),
    ],
)
def test_heavy_packages_stay_out(module, forbidden):
    code = f"import sys, {module}; print(*[m for m in {forbidden.split()!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_files_are_short():
    lines = {path: len(path.read_text().splitlines()) for p in PACKAGES for path in (ROOT / p).rglob("*.py")}
    assert max(lines.values()) <= 400, [str(p) for p, n in lines.items() if n > 400]
    assert sorted(lines.values())[len(lines) // 2] < 150


def test_repository_speaks_of_the_project_alone():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: the list of tracked files is unknown")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".sh", ".txt", ".toml", ".html"} or path.name in {"Makefile", "run"}:
            text = path.read_text()
            for word in ("/" + "work/", "/" + "root/"):
                assert word not in text, f"{name} holds {word}"
