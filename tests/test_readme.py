"""Every command in the README and its pages is accepted by the program it names: it runs, or it misses only its data."""

import contextlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eval.data.synthesize import synthesize

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PAGES = "\n".join([README, *((ROOT / "docs" / f"{reader}.md").read_text() for reader in ("researcher", "reviewer"))])


def readme_commands():
    """Command lines of code blocks, and inline `make` commands that have arguments."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", PAGES, re.S)).splitlines()
    inline = re.findall(r"`(make [^`]+=[^`]+)`", PAGES)
    lines = [line.split("#")[0].strip() for line in [*blocks, *inline]]
    return sorted({line for line in lines if line and "..." not in line and "FILE" not in line})


def commands_of(line):
    """The `python -m` commands behind a README line; `make` targets are expanded without running them."""
    if not line.startswith("make"):
        return [line]
    result = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    # What follows `||` only says the exit code.
    commands = [line.partition("||")[0] for line in result.stdout.splitlines()]
    return [c for c in commands if " -m " in c and " pip " not in c]


def test_readme_has_the_two_commands():
    assert {"make demo", "make test"} <= set(readme_commands())
    assert len(readme_commands()) >= 10


@pytest.mark.parametrize("line", readme_commands())
def test_readme_command_is_accepted(line, tmp_path, monkeypatch, capsys):
    """In this process, which has imported what most of them need."""
    for folder in ("configs", "results"):  # what a command may read; everything is written elsewhere
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for command in commands_of(line):
        words = shlex.split(command)
        if {"pytest", "venv", "ruff", "mypy"} & set(words):
            continue
        words = words[words.index("-m") + 1 :]
        if words[1] == "launch":  # one rank is enough to see that the arguments are right
            words = words[3:]
        monkeypatch.setattr(sys, "argv", [word.replace("/tmp/", f"{tmp_path}/tmp/") for word in words])
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        errors = capsys.readouterr().err
        assert "usage:" not in errors
        assert ended.value.code == 0 or errors.startswith("error: ")


def test_readme_python_runs(tmp_path):
    """The lines as they stand, on drawn data of one batch."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    with contextlib.redirect_stdout(None):
        synthesize("images", tmp_path / "images", 0, count=32, classes=2)
        synthesize("davis", tmp_path / "davis", 0, sequences=1, train_sequences=0, frames=4)
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^\d+\.\d+ Interval\(", result.stdout, re.M), result.stdout
