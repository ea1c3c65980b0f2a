"""Adding a format is one short file, found by itself and documented."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.plain_vit import random_weights

import flsl.formats
from flsl.checkpoint import load_encoder
from flsl.formats import formats
from flsl.runtime.errors import UserError

FOLDER = Path(flsl.formats.__file__).parent
PACKAGE = FOLDER.parent


def test_each_format_is_one_short_documented_file():
    readme = (FOLDER / "README.md").read_text()
    assert len(formats()) >= 13
    for name in formats():
        assert len((FOLDER / f"{name}.py").read_text().splitlines()) < 60
        assert f"`{name}.py`" in readme


def test_a_new_format_is_one_file_as_the_readme_says(tmp_path):
    """The README's example, saved into the folder of a copy of the package, is all that its commands need."""
    weights = random_weights(class_token=False)
    state = {f"trunk.{key.replace('patch_embed.proj', 'stem')}": value for key, value in weights.items()}
    tree = {"toy_encoder": state, "projector": torch.zeros(2)}
    torch.save(tree, tmp_path / "toy.pth")
    with pytest.raises(UserError, match="holds no ViT encoder of a known layout"):
        load_encoder(tmp_path / "toy.pth")

    copy = shutil.copytree(PACKAGE, tmp_path / "clone" / "flsl", ignore=shutil.ignore_patterns("__pycache__"))
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    (example,) = re.findall(r"```python\n(.*?)```", (copy / "formats" / "README.md").read_text(), re.DOTALL)
    (copy / "formats" / "toy.py").write_text(example)

    commands = [["inspect", "toy.pth", "--json"], ["convert", "toy.pth", "toy.safetensors"]]
    program = f"from flsl.__main__ import main\nfor words in {commands}: assert main(words) == 0; print('----')"
    environment = os.environ | {"PYTHONPATH": str(copy.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    inspected, converted, _ = done.stdout.split("----\n")
    told = json.loads(inspected)
    assert (told["pretraining"]["format"], told["method"], told["dropped"]) == ("toy", "Toy", ["projector"])
    assert (told["patch_size"], told["encoder"]["embed_dim"], told["encoder"]["depth"]) == (8, 64, 2)
    assert told["encoder"]["position_interpolation"] == "size"
    assert told["fingerprint"] in converted
    assert load_encoder(tmp_path / "toy.safetensors").fingerprint == told["fingerprint"]

    after = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert after.keys() - before.keys() == {copy / "formats" / "toy.py"}
    assert all(after[path] == content for path, content in before.items())
