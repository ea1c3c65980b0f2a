"""The model list: well-formed, found in the cache by name, checked, and downloaded only when asked."""

import csv
import hashlib
import http.server
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.plain_vit import random_weights

from flsl import model_list
from flsl.__main__ import main
from flsl.architecture import ARCHITECTURES
from flsl.checkpoint import load_encoder
from flsl.model_list import download, listed_models
from flsl.runtime.errors import UserError

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "published.csv"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """Serve a folder on this machine; returns the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_entries_are_well_formed():
    models = listed_models()
    assert len(models) >= 25
    for model in models.values():
        assert re.fullmatch(r"[a-z0-9_]+", model.name)
        assert model.page.startswith("https://")
        assert model.address is None or model.address.startswith("https://")
        assert model.checksum is None or re.fullmatch(r"(sha256|md5):[0-9a-f]{6,64}", model.checksum)
        assert model.architecture in ARCHITECTURES or model.method == "DINOv3"
        assert model.paper.startswith("arXiv:")
        assert (model.method == "DINOv2 with registers") == ("_reg4" in model.name)


def test_published_scores_exist():
    with open(PUBLISHED, newline="") as file:
        rows = {(row["method"], row["backbone"]) for row in csv.DictReader(file)}
    references = [model.published for model in listed_models().values() if model.published]
    assert len(references) >= 6
    assert {(reference["method"], reference["backbone"]) for reference in references} <= rows


def test_absent_model_says_where_to_get_it_and_put_it(cache):
    with pytest.raises(UserError, match="is not in") as error:
        load_encoder("dino_vits16")
    assert listed_models()["dino_vits16"].address in str(error.value)
    assert str(cache / "dino_vits16.pth") in str(error.value)
    with pytest.raises(UserError, match=r"Get it from https://github\.com/facebookresearch/dinov3"):
        load_encoder("dinov3_vits16")
    with pytest.raises(UserError, match="Did you mean dino_vits16"):
        load_encoder("dino_vits_16")


def test_cached_model_is_found_and_named(cache):
    cache.mkdir()
    torch.save(random_weights(patch=16), cache / "dino_vits16.pth")
    loaded = load_encoder("dino_vits16")
    assert (loaded.name, loaded.method, loaded.source) == ("dino_vits16", "DINO", "dino_vits16")
    assert loaded.pretraining["paper"] == "arXiv:2104.14294"


def test_cached_model_is_checked(cache):
    cache.mkdir()
    torch.save(random_weights(patch=16), cache / "deit_vits16.pth")
    with pytest.raises(UserError, match=r"is not deit_vits16: its sha256 starts with .*, expected cd65a155"):
        load_encoder("deit_vits16")


def test_download(cache, server):
    folder, address = server
    torch.save(random_weights(), folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
    model = replace(listed_models()["dino_vits8"], address=f"{address}/weights.pth", checksum=f"sha256:{digest[:8]}")
    path = download(model)
    assert path == cache / "dino_vits8.pth"
    assert path.read_bytes() == (folder / "weights.pth").read_bytes()
    (folder / "weights.pth").unlink()
    assert download(model) == path  # kept, not fetched again
    assert load_encoder("dino_vits8").method == "DINO"


def test_downloads_that_fail_leave_nothing(cache, server):
    folder, address = server
    (folder / "page.pth").write_text("<html>")
    model = replace(listed_models()["dino_vits8"], address=f"{address}/page.pth", checksum="sha256:00000000")
    with pytest.raises(UserError, match="expected 00000000"):
        download(model)
    with pytest.raises(UserError, match="404"):
        download(replace(model, address=f"{address}/none.pth"))
    with pytest.raises(UserError, match="cannot be downloaded by a program"):
        download(listed_models()["dinov3_vits16"])
    assert not any(cache.glob("*"))


def test_nothing_touches_the_network_unasked(monkeypatch, capsys):
    import socket

    def refuse(*arguments, **keywords):
        raise AssertionError("network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for arguments in (["models"], ["models", "mae_vitb16"], ["inspect", "mae_vitb16"], ["inspect", "timm:test_vit"]):
        main(arguments)
    assert "network" not in capsys.readouterr().err


def test_command(capsys):
    assert main(["models"]) == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in listed_models())
    table = listing.split("\n\n")[0].splitlines()[:-1]
    assert len({line.index("https:") for line in table[1:]} | {table[0].index("from")}) == 1
    assert main(["models", "mocov3_vits16"]) == 0
    assert "12 heads of width 32" in capsys.readouterr().out
    assert main(["models", "mocov3_vit16"]) == 2
    assert "Did you mean mocov3_vits16" in capsys.readouterr().err
    assert main(["models", "--download"]) == 2
    assert model_list.cache_folder().name == "cache"
