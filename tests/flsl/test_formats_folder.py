"""Adding a format is one short file, found by itself and documented."""

import types
from pathlib import Path

import torch
from support.plain_vit import random_weights

import flsl.formats
from flsl.checkpoint import load_encoder
from flsl.formats import formats
from flsl.formats.found import Found

FOLDER = Path(flsl.formats.__file__).parent


def test_each_format_is_one_short_documented_file():
    readme = (FOLDER / "README.md").read_text()
    assert len(formats()) >= 13
    for name in formats():
        assert len((FOLDER / f"{name}.py").read_text().splitlines()) < 60
        assert f"`{name}.py`" in readme


def test_a_new_format_needs_nothing_but_its_read_function(tmp_path, monkeypatch):
    def read(file, branch):
        if "my_encoder" not in file.tree:
            return None
        facts = {"position_interpolation": "dino"}
        return Found("mine", "Mine", file.tree["my_encoder"], facts, dropped=["my_head"])

    known = formats()
    monkeypatch.setattr(flsl.formats, "formats", lambda: known | {"mine": types.SimpleNamespace(read=read)})
    torch.save({"my_encoder": random_weights(), "my_head": torch.zeros(2)}, tmp_path / "mine.pth")
    loaded = load_encoder(tmp_path / "mine.pth")
    assert (loaded.format, loaded.method, loaded.dropped) == ("mine", "Mine", ["my_head"])
