"""The documentation builds without a warning, and has what follows from the code."""

import re
import subprocess
import sys

import pytest
from support.checkout import ROOT

from results.benchmarks import BENCHMARKS


@pytest.mark.slow
def test_site_builds_strictly(tmp_path):
    pytest.importorskip("mkdocstrings", reason="documentation needs the extra docs: make docs")
    pytest.importorskip("material", reason="documentation needs the extra docs: make docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for benchmark in BENCHMARKS.values():
        page = (tmp_path / "site" / "benchmarks" / f"{benchmark.command}.html").read_text()
        assert f"flsl eval {benchmark.command} --checkpoint" in page
        assert "Expected figures" in page
    assert 'src="pictures/' in (tmp_path / "site" / "suite.html").read_text()  # those that the README opens with
    api = (tmp_path / "site" / "api" / "eval.html").read_text()
    assert 'id="eval.evaluate"' in api
    assert re.search(r"Raises:.*UserError", api, re.S)
    assert not (tmp_path / "site" / "hooks.py").exists()
