"""The notebook of the documentation runs as it stands, cell after cell, in an empty folder."""

import json
import os
import subprocess
import sys

import pytest
from support.checkout import ROOT

NOTEBOOK = ROOT / "docs" / "example.ipynb"


@pytest.mark.slow
def test_notebook_runs(tmp_path):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "\n".join(code)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "random vit_micro/16" in done.stdout
    assert len(list(tmp_path.glob("example/runs/*/record.json"))) == 2
