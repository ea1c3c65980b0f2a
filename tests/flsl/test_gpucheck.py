"""`python -m flsl gpucheck`: what is reported, whatever the commands of a part do."""

import json
import re
import signal
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.pretrain_run import RECIPE

from eval.__main__ import COMMANDS
from flsl.__main__ import main
from flsl.gpu_check.parts import ROOT, Part, all_parts
from flsl.gpu_check.report import read_report, table
from flsl.gpu_check.run import check
from flsl.gpu_check.steps import Step
from flsl.runtime.program import build_parser
from pretrain import bench, bench_compiling, bench_series
from pretrain.recipe import read_recipe

PASSES = Step("passes", ("this",), "rows")
FAILS = Step("fails", ("no_such_module",), "rows")
SLEEPS = Step("sleeps", ("timeit", "-n1", "-r1", "import time; time.sleep(60)"), "rows")
TESTS = """
import pytest

def test_measures(record_property):
    record_property("seconds", 0.25)

def test_wants_more():
    pytest.skip("needs two GPUs")
"""


@pytest.fixture
def recipe_file(tmp_path):
    file = tmp_path / "recipe.py"
    file.write_text(RECIPE)
    return file


def part(name, *steps, seconds=1.0, **more):
    return Part(name, f"what {name} is", seconds, more.pop("packages", ()), steps, **more)


def run(tmp_path, *parts, minutes=1.0):
    report = check(parts, tmp_path / "out", device="cpu", minutes=minutes)
    return report, json.loads((tmp_path / "out" / "gpu-check.json").read_text())


def test_parts_pass_fail_or_are_named_as_not_checked(tmp_path, capsys):
    (tmp_path / "test_one.py").write_text(TESTS)
    options = (
        "-o",
        "junit_family=xunit1",
        "-p",
        "no:cacheprovider",
        "--confcutdir",
        str(tmp_path),
        "--rootdir",
        str(tmp_path),
    )
    tests = Step("tests", ("pytest", "-q", *options, "--junit-xml={found}", str(tmp_path / "test_one.py")), "tests")
    report, written = run(
        tmp_path,
        part("tests", tests),
        part("broken", FAILS),
        part("card", needs_gpu=True),
        part("bare", FAILS, packages=("json", "no_such_package")),
    )
    assert [(p.name, p.status) for p in report.parts] == [
        ("tests", "passed"), ("broken", "failed"), ("card", "not checked"), ("bare", "not checked"),
    ]  # fmt: skip
    tests, broken, card, bare = written["parts"]
    assert tests["steps"][0]["rows"] == [{"what": "test_one.test_measures", "seconds": 0.25}]
    assert [check["outcome"] for check in tests["steps"][0]["checks"]] == ["passed", "skipped"]
    assert "needs two GPUs" in tests["reason"]
    assert "No module named no_such_module" in broken["reason"]
    assert card["reason"] == "needs a CUDA device"
    assert bare["reason"] == "not installed: no_such_package"
    assert written["status"] == "failed"
    printed = capsys.readouterr().out
    for words in ("PASSED       tests", "seconds 0.25", "FAILED       broken", "needs a CUDA device"):
        assert words in printed
    assert table(read_report(tmp_path / "out" / "gpu-check.json")) in printed
    assert "No module named no_such_module" in (tmp_path / "out" / "gpu-check.log").read_text()


def test_a_part_ends_with_its_time_and_what_it_leaves_is_the_next_ones(tmp_path):
    absent = part("absent", FAILS, packages=("no_such_package",), seconds=50.0)
    report, written = run(
        tmp_path, part("slow", SLEEPS, FAILS), absent, part("quick", PASSES, seconds=9.0), minutes=0.2
    )
    slow, absent, quick = report.parts
    assert (slow.status, slow.limit_seconds) == ("out of time", 1.2)
    assert [step["reason"] for step in written["parts"][0]["steps"]] == ["more than 1 s", "no time was left for it"]
    assert (absent.status, absent.limit_seconds) == ("not checked", 0)
    assert (quick.status, report.status) == ("passed", "failed")
    assert 0 < quick.limit_seconds < 11


def test_a_job_in_the_background_can_stop_its_commands(tmp_path):
    """A shell starts it with SIGINT ignored; a command that ignores it too would have to be killed."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        report, _ = run(tmp_path, part("slow", SLEEPS), minutes=0.02)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    (step,) = report.parts[0].steps
    assert step.status == "out of time"
    assert step.exit_code != -signal.SIGKILL


def test_what_a_command_leaves_behind_ends_with_it(tmp_path):
    """It would disturb what is timed next, and its output may be half a file."""
    child = "signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    lines = (
        "file = open('{found}', 'w'); file.write('<half'); file.close()",
        f"child = subprocess.Popen([sys.executable, '-c', 'import signal, time; {child}'])",
        f"file = open({str(tmp_path / 'child')!r}, 'w'); file.write(str(child.pid)); file.close()",
        "time.sleep(60)",
    )
    setup = "-simport subprocess, sys, time"
    step = Step("leaves", ("timeit", "-n1", "-r1", setup, *lines), "tests")
    report, _ = run(tmp_path, part("slow", step, seconds=2.0), part("quick", PASSES), minutes=0.1)
    assert [p.status for p in report.parts] == ["out of time", "passed"]
    assert "leaves.found cannot be read" in report.parts[0].reason
    status = Path("/proc", (tmp_path / "child").read_text(), "status")
    assert not status.exists() or "zombie" in status.read_text()


def test_commands_end_with_it_where_it_is_terminated(tmp_path):
    """`timeout` and queues send SIGTERM; a command that went on would disturb what is timed next."""
    note, begun = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))", tmp_path / "pid"
    words = ("timeit", "-n1", "-r1", "-simport os, time", note, "time.sleep(60)")
    code = f"""
from pathlib import Path
from flsl.gpu_check.parts import Part
from flsl.gpu_check.run import check
from flsl.gpu_check.steps import Step
check([Part("slow", "slow", 9.0, (), (Step("sleeps", {words!r}, "rows"),))], Path({str(tmp_path)!r}), device="cpu", minutes=1)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE) as checking:
        while checking.poll() is None and not (begun.exists() and begun.read_text()):
            time.sleep(0.05)
        checking.terminate()
        checking.wait()
    status = Path("/proc", begun.read_text(), "status")
    assert not status.exists() or "zombie" in status.read_text()


def test_what_cannot_be_read_fails_its_part_alone(tmp_path):
    step = Step(
        "writes", ("timeit", "-n1", "-r1", "file = open('{found}', 'w'); file.write('[{{'); file.close()"), "rows"
    )
    report, _ = run(tmp_path, part("broken", step), part("quick", PASSES))
    assert [p.status for p in report.parts] == ["failed", "passed"]
    assert report.parts[0].reason.startswith("writes: writes.found cannot be read (Expecting property name")


def test_the_minutes_begin_where_the_command_does(tmp_path, monkeypatch):
    """Torch and wheels take a while, and whoever limits a command limits all of it."""
    given = {}

    def note(parts, out, **more):
        given.update(more)
        return SimpleNamespace(status="passed")

    monkeypatch.setattr("flsl.gpu_check.run.check", note)
    monkeypatch.setattr("flsl.gpu_check.run.install_wheels", lambda wheels, folder: time.sleep(0.2))
    assert main(["gpucheck", "--out", str(tmp_path), "--device", "cpu", "--wheels", "."]) == 0
    assert time.monotonic() - given["begin"] >= 0.2
    monkeypatch.undo()
    early = time.monotonic() - 30
    report = check([part("slow", SLEEPS)], tmp_path, device="cpu", minutes=0.52, begin=early)
    assert report.parts[0].limit_seconds <= 1.2


def test_no_part_is_left_without_time(monkeypatch):
    """Nine minutes and a half do for what the parts take where a process needs ten seconds to start (docs/gpu.md)."""
    text = " ".join((ROOT / "docs/gpu.md").read_text().split())
    listed = re.search(r"card (\d+) s, those beside each other (\d+), (.*?): nine minutes in all", text)
    expected = {"card": int(listed[1]), True: int(listed[2])}
    expected |= {n: int(s) for n, s in re.findall(r"(\w+) (\d+)", re.sub(r"\(.*?\)", "", listed[3]))}
    groups = [(key, list(ps)) for key, ps in groupby(all_parts("cuda:0", 16), key=lambda p: p.beside or p.name)]
    assert [key for key, _ in groups] == list(expected)
    left = 9.5 * 60 - 15  # what torch and wheels take
    for index, (key, group) in enumerate(groups):
        limit = left * group[0].seconds / sum(ps[0].seconds for _, ps in groups[index:])
        assert limit >= 1.1 * expected[key], key
        left -= expected[key]


def test_parts_that_time_nothing_run_beside_each_other(tmp_path):
    def meets(one, other):
        lines = (
            f"open({str(tmp_path / one)!r}, 'w').close()",
            f"while not os.path.exists({str(tmp_path / other)!r}): pass",
        )
        return part(one, Step("meets", ("timeit", "-n1", "-r1", "-simport os", *lines), "rows"), beside=True)

    report, _ = run(tmp_path, meets("first", "second"), meets("second", "first"), part("alone", PASSES))
    assert [(p.name, p.status) for p in report.parts] == [(n, "passed") for n in ("first", "second", "alone")]
    assert report.parts[0].limit_seconds == report.parts[1].limit_seconds == 30.0
    assert (tmp_path / "out/gpu-check.log").read_text().count("python -m timeit") == 2


def test_the_command_checks_what_needs_no_gpu(tmp_path, capsys):
    words = ["gpucheck", "--out", str(tmp_path), "--device", "cpu", "--only", "card", "compiled"]
    assert main(words) == 0
    report = read_report(tmp_path / "gpu-check.json")
    assert [(p.name, p.status) for p in report.parts] == [("card", "passed"), ("compiled", "not checked")]
    versions, *rows = report.parts[0].steps[0].rows
    assert versions["packages"]["python"] == sys.version.split()[0]
    assert all(row["error"] < 1e-5 for row in rows if "error" in row)
    capsys.readouterr()
    assert main(["gpucheck", "--show", str(tmp_path / "gpu-check.json")]) == 0
    assert "NOT CHECKED  compiled" in capsys.readouterr().out


def test_it_starts_without_the_packages_that_it_may_miss(tmp_path):
    absent = ["pydantic", "simplejpeg", "mmengine", "mmcv", "mmdet", "pycocotools", "rich", "pandas", "numpy"]
    code = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))
from flsl.__main__ import main
sys.exit(main(["gpucheck", "--out", {str(tmp_path)!r}, "--device", "cpu", "--only", "tests", "loader"]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = read_report(tmp_path / "gpu-check.json")
    assert {p.status for p in report.parts} == {report.status} == {"not checked"}
    assert report.parts[0].reason == "not installed: numpy, pydantic, simplejpeg, mmengine"


def test_tests_are_read_without_what_detection_needs():
    """A file that asked for it would fail the part on a machine where detection is named as not checked."""
    # What those that take a device, and their fixtures, have of the benchmarks.
    absent = ["mmcv", "mmdet", "pycocotools", "faster_coco_eval"]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import eval.coco.run, eval.knn.data"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "resum"], "'resume'"),
        (["--minutes", "0"], "--minutes is 0"),
        (["--minutes", "nan"], "--minutes is nan"),
        (["--device", "cuda:99"], "--device cuda:99"),
        (["--wheels", "."], "--wheels . holds no *.whl"),
    ],
)
def test_what_cannot_be_done_is_explained(words, said, tmp_path, capsys):
    assert main(["gpucheck", "--out", str(tmp_path / "out"), "--device", "cpu", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_report_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "other.json").write_text('{"parts": []}')
    assert main(["gpucheck", "--show", str(tmp_path / "other.json")]) == 2
    assert "other.json is no report of gpucheck" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_what_the_parts_name_exists(device):
    """A GPU's time is too dear for a misspelt option."""
    evaluation = build_parser("eval", "", COMMANDS, "eval.{}.command")
    parts = all_parts(device, 16)
    assert [p.name for p in parts] == [
        "card",
        "tests",
        "precision",
        "resume",
        "parallel",
        "waiting",
        "masks",
        "compiling",
        "compiled",
        "uncompiled",
        "busy",
        "davis",
        "training",
        "loader",
        "detection",
    ]
    for words in (step.words for p in parts for step in p.steps):
        if words[:2] == ("pretrain", "bench"):
            commands = [words[2:]]
        elif words[0] == "pretrain.bench_series":
            commands = [list(c) for is_one, c in groupby(words[2:], lambda word: word != "--") if is_one]
        else:
            commands = []
        for command in commands:
            asked = bench.build_parser().parse_args(command)
            read_recipe(asked.config, asked.overrides)
        if words[0] == "eval":
            evaluation.parse_args(words[1:])
        assert "{found}" in " ".join(words)
        named = [word.partition(":")[0] for word in words if word.startswith(("configs/", "tests/"))]
        assert all((ROOT / word).is_file() for word in named), named


def test_what_is_timed_compiled_is_compiled_before():
    """By the same recipes, sizes and changes, or the compiler keeps something else."""
    (before,), (timed,) = (p.steps for p in all_parts("cuda:0", 16) if p.name in ("compiling", "compiled"))
    sizes, changes = set(), set()
    for command in [list(c) for is_one, c in groupby(timed.words[2:], lambda word: word != "--") if is_one]:
        asked = bench.build_parser().parse_args(command)
        form = ":joined" * ("runtime.join_views=True" in asked.overrides)
        sizes |= {f"{asked.config}:{batch}{form}" for batch in asked.batch}
        apart = ("runtime.cuda_graph", "runtime.join_views")
        changes |= {change for change in asked.overrides if not change.startswith(apart)}
    assert sizes == {word for word in before.words if word.startswith("configs/")}
    assert set(changes) == {word for word in before.words if "=" in word}


def test_a_series_goes_on_after_a_command_that_fails(recipe_file, tmp_path, capsys):
    file, common = tmp_path / "rows.json", ["--part", "step", "--rounds", "1", "--device", "cpu"]
    file.write_text("of an earlier run")
    words = [[*common, "--batch", "2"], ["--set", "no.such=1"], [*common, "--batch", "3"]]
    assert bench_series.main([str(file), *(w for command in words for w in ("--", str(recipe_file), *command))]) == 2
    rows = json.loads(file.read_text())
    assert [(row["batch"], row["mode"]) for row in rows] == [(2, "one by one"), (3, "one by one")]
    assert "no.such" in capsys.readouterr().err


def test_a_series_ends_with_ctrl_c(monkeypatch, tmp_path):
    """A command says so by its exit code; the next one would only be killed."""
    ran = []
    monkeypatch.setattr("pretrain.__main__.main", lambda words: ran.append(words[1]) or 130)
    assert bench_series.main([str(tmp_path / "rows.json"), "--", "one", "--", "two"]) == 130
    assert ran == ["one"]


def test_steps_are_compiled_beside_each_other(recipe_file, tmp_path, monkeypatch):
    sizes = [f"{recipe_file}:{batch}" for batch in (0, 2, 3)]  # no batch of the first: it fails alone
    words = [tmp_path / "found.json", "cpu", *sizes, "--set", "runtime.compile=False"]
    monkeypatch.setattr(sys, "argv", ["compiling", *map(str, words)])
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    assert bench_compiling.main() == 1
    rows = json.loads((tmp_path / "found.json").read_text())
    assert sorted(row["batch"] for row in rows) == [2, 3]
