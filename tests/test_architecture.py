"""The packages import only whom they may, and stay light where they promise to be."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "results": {"results", "flsl.runtime"},
    "flsl": {"flsl"},
    "pretrain": {"pretrain", "flsl"},
    "eval": {"eval", "flsl", "results"},
}


def imports(path):
    """Yield line and dotted name of everything that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_whom_they_may(package):
    for path in (ROOT / package).rglob("*.py"):
        for line, name in imports(path):
            may = any(f"{name}.".startswith(f"{one}.") for one in PACKAGES[package])
            assert may or name.split(".")[0] not in PACKAGES, f"{path}:{line} imports {name}"


def test_no_imports_go_in_circles():
    files = {path.relative_to(ROOT).with_suffix(""): path for p in PACKAGES for path in (ROOT / p).rglob("*.py")}
    modules = {".".join(name.parts).removesuffix(".__init__"): path for name, path in files.items()}
    graph = {}
    for module, path in modules.items():
        # `from a.b import c` needs the module a.b.c or, where c is no module, a.b.
        names = {name if name in modules else name.rpartition(".")[0] for _, name in imports(path)}
        graph[module] = names & modules.keys() - {module}  # a program imports itself by name for a job
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


def test_benchmarks_stand_side_by_side():
    """A benchmark imports what benchmarks share (no command of their own), no other one, and never how data are drawn.

    `quick` is none: it stands above them, and draws its data.
    """
    rooms = {path.name for path in (ROOT / "eval").iterdir() if (path / "__init__.py").is_file()}
    benchmarks = {name for name in rooms if (ROOT / "eval" / name / "command.py").is_file()} - {"data", "quick"}
    assert {"coco", "davis", "uavdt", "knn", "segment"} <= benchmarks
    shared = rooms - benchmarks - {"data", "quick"}
    for room in rooms - {"data", "quick"}:
        for path in (ROOT / "eval" / room).rglob("*.py"):
            for line, name in imports(path):
                top, met, *_ = [*name.split("."), ""]
                assert top != "eval" or met in {room, *shared} or met not in rooms, f"{path}:{line} imports {name}"


def test_what_is_imported_is_declared():
    """A package that only happens to be there, by another one's needs, is missing where somebody installs the wheel alone."""
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    declared = {re.split(r"[ <>=!~;\[]", line)[0].lower().replace("_", "-") for line in listed}
    known = {name: {d.lower().replace("_", "-") for d in found} for name, found in packages_distributions().items()}
    roots = {name.split(".")[0] for p in PACKAGES for path in (ROOT / p).rglob("*.py") for _, name in imports(path)}
    # The last two are asked for by name, and said how to get.
    roots -= {*sys.stdlib_module_names, *PACKAGES, "davis2017", "wandb"}
    assert {"torch", "scipy", "mmdet"} <= roots
    assert not {name for name in roots if name in known and not known[name] & declared}
    base = {re.split(r"[ <>=!~;\[]", line)[0].lower() for line in project["dependencies"]}
    assert {"scipy", "torch", "pycocotools"} <= base  # what `flsl quick` needs, of that which extras bring too


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("flsl", "mmdet mmcv mmengine torch"),
        ("flsl.model, flsl.checkpoint", "mmdet mmcv mmengine"),
        ("results.benchmarks, results.commands.table", "torch pydantic pandas"),
        ("results.store, results.leaderboard", "torch mmdet mmcv"),
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
