"""The Hugging Face Hub: fetched only when asked, from a server on this machine; and what would be published there."""

import hashlib
import http.server
import json
import threading

import pytest
import torch
from huggingface_hub import constants
from support.layouts import prefixed
from support.plain_vit import random_weights

from flsl.__main__ import main
from flsl.checkpoint import fingerprint, load_encoder
from flsl.runtime.errors import UserError

COMMIT = "c" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub's interface as listing and fetching files takes."""

    files = {}
    asked = []

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/org/vit"):
            tree = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in self.files.items()]
            info = {"id": "org/vit", "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]}
            return self.reply(200, json.dumps(tree if "/tree/" in path else info).encode())
        name = path.rpartition("/")[2]
        if path.startswith("/org/vit/resolve/") and name in self.files:
            return self.reply(200, self.files[name])
        return self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def reply(self, code, data, headers=None):
        tag = hashlib.sha1(data).hexdigest()
        self.send_response(code)
        for key, value in {
            "ETag": tag,
            "X-Repo-Commit": COMMIT,
            "Content-Length": len(data),
            **(headers or {}),
        }.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch, capsys):
    """Run a command of `flsl` with a Hub and a cache of this test alone; gives exit code, output and errors."""
    weights = tmp_path / "weights.pth"
    torch.save({"net": {f"encoder.{key}": value for key, value in random_weights().items()}}, weights)
    Hub.files, Hub.asked = {"pytorch_model.bin": weights.read_bytes(), "README.md": b"card"}, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # What $HF_ENDPOINT and $HF_HOME set where a process starts.
        here, there = f"http://127.0.0.1:{server.server_port}", constants.ENDPOINT
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(there, here)
        monkeypatch.setattr(constants, "ENDPOINT", here)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))

        def run(*words):
            code = main(list(words))
            return code, *capsys.readouterr()

        yield run
        server.shutdown()


def test_nothing_is_fetched_unasked_and_what_was_fetched_is_found(hub):
    code, _, said = hub("models", "hf:org/vit")
    assert (code, "python -m flsl models hf:org/vit --download" in said) == (2, True)
    assert not Hub.asked
    code, printed, said = hub("models", "hf:org/vit", "--download")
    assert code == 0, said
    assert printed.strip().endswith(f"{COMMIT}/pytorch_model.bin")
    Hub.asked.clear()
    fields = load_encoder("hf:org/vit").model_fields()
    assert (fields["name"], fields["source"], fields["pretraining"]["prefix"]) == ("vit", "hf:org/vit", "net.encoder")
    assert not Hub.asked
    for name, reason in (
        ("hf:org/nothing", "cannot be downloaded"),
        ("hf:org/vit/other.pth", "there are: pytorch_model.bin"),
    ):
        code, _, said = hub("models", name, "--download")
        assert (code, said.splitlines()[-1].startswith("error: "), reason in said) == (2, True, True), said


@pytest.mark.parametrize(
    "name", ["hf:vit", "hf:/vit", "hf:org/", "hf:../vit", "hf:org/vit/../../secret.pth", "hf:" + "x" * 9999]
)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(UserError) as error:
        load_encoder(name)
    assert len(str(error.value)) < 400


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """An encoder, and a folder of records: its own, one of another encoder, one that is not finished."""
    folder = tmp_path_factory.mktemp("published")
    torch.save(prefixed(random_weights(), "net."), folder / "a | b.pth")
    own = load_encoder(folder / "a | b.pth").fingerprint
    for name, encoder, status in (("a", own, "complete"), ("b", "other", "complete"), ("c", own, "partial")):
        record = {
            "model": {"fingerprint": encoder}, "status": status, "headline": "J&F",
            "benchmark": "davis2017", "protocol": "davis2017/dino@1", "dataset": {"name": "davis2017"},
            "metrics": {"J&F": {"value": 61.84, "interval": {"low": 58.0, "high": 64.9, "unit": "sequences"}}},
        }  # fmt: skip
        (folder / "runs" / name).mkdir(parents=True)
        (folder / "runs" / name / "record.json").write_text(json.dumps(record))
    return folder


def test_push_shows_what_it_would_upload(published, tmp_path, capsys):
    out = tmp_path / "folder"
    command = ["push", str(published / "a | b.pth"), "org/vit", "--records", str(published / "runs")]
    assert main([*command, "--license", "apache-2.0", "--dry-run", str(out)]) == 0
    assert "1 records of this encoder, 2 of others left out" in capsys.readouterr().out
    assert fingerprint(load_encoder(out).encoder) == fingerprint(load_encoder(published / "a | b.pth").encoder)
    (record,) = (out / "records").iterdir()
    assert json.loads(record.read_text())["metrics"]["J&F"]["value"] == 61.84
    card = (out / "README.md").read_text()
    for part in (
        "license: apache-2.0",
        "# a \\| b",
        'load_encoder("hf:org/vit")',
        "| davis2017/dino@1 | davis2017 | J&F | 61.8 | 58.0 to 64.9",
    ):
        assert part in card
    from huggingface_hub import ModelCard

    assert ModelCard(card).data.eval_results[0].metric_value == 61.84


def test_push_refuses_what_it_cannot_publish(published, tmp_path, capsys):
    mine = str(published / "a | b.pth")
    (tmp_path / "record-broken.json").write_text('{"model": 3}')
    for words, said in (
        (["pixels/16", "org/vit"], "no weights to save"),
        ([mine, "vit"], "hf:ORG/NAME"),
        ([mine, "org/vit/file"], "ORG/NAME"),
        ([mine, "org/vit", "--records", str(published / "runs" / "b")], "no complete record of this encoder"),
        ([mine, "org/vit", "--records", str(tmp_path)], "record-broken.json is no record"),
    ):
        assert main(["push", *words, "--dry-run", str(tmp_path / "out")]) == 2
        assert said in capsys.readouterr().err
