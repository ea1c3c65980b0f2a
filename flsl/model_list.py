"""Public checkpoints by name: where they come from, where they lie on this machine, and how to fetch them."""

import difflib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flsl.runtime.errors import UserError
from flsl.runtime.files import digest_of_file, write_atomic

SUFFIXES = (".safetensors", ".safetensors.index.json", ".pth.tar", ".pth", ".pt", ".bin", ".ckpt")
LIST = Path(__file__).with_name("models.json")


@dataclass(frozen=True)
class ListedModel:
    """One line of models.json."""

    name: str
    method: str
    architecture: str
    patch_size: int
    page: str  # where its authors publish it
    license: str
    paper: str
    address: str | None = None  # of the file itself, where anyone may download it
    published: dict[str, str] | None = None  # method and backbone of its rows among the published figures
    checksum: str | None = None  # "sha256:" or "md5:" and the first digits, as its authors give them
    note: str = ""

    @property
    def file_name(self) -> str:
        """Name of the file in the cache folder."""
        suffix = ".safetensors" if (self.address or "").endswith(".safetensors") else ".pth"
        return self.name + suffix

    def how_to_get(self) -> str:
        """Say where to download the file and where to put it."""
        target = cache_folder() / self.file_name
        if self.address:
            return f"Run `python -m flsl models {self.name} --download`, or download {self.address} and save it as {target}."
        return f"Get it from {self.page} ({self.note or self.license}) and save it as {target}."


def cache_folder() -> Path:
    """Return the folder of downloaded checkpoints: $FLSL_CACHE, or ~/.cache/flsl."""
    return Path(os.path.expanduser(os.environ.get("FLSL_CACHE") or "~/.cache/flsl"))


@cache
def listed_models() -> dict[str, ListedModel]:
    """Return the model list by name, in the order of models.json."""
    return {entry["name"]: ListedModel(**entry) for entry in json.loads(LIST.read_text())}


def find_cached(stem: str) -> Path | None:
    """Return the file of that name in the cache folder, whatever its suffix; None if there is none."""
    for suffix in SUFFIXES:
        if (path := cache_folder() / (stem + suffix)).is_file():
            return path
    return None


def locate(model: ListedModel) -> Path:
    """Return a listed model's file on this machine, checked against its checksum. Never touches the network.

    Raises:
        UserError: it is not there (the message says how to get it), or it is another file.
    """
    path = find_cached(model.name)
    if path is None:
        raise UserError(f"checkpoint {model.name} is not in {cache_folder()} ($FLSL_CACHE). {model.how_to_get()}")
    _verify(model, path)
    return path


def suggest(name: str) -> str:
    """Return a hint that names listed models near to `name`, or nothing."""
    near = difflib.get_close_matches(name, listed_models(), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def download(model: ListedModel) -> Path:
    """Fetch a listed model into the cache folder and return its path; one that is there already is kept.

    Raises:
        UserError: no public address, no network, or a file that is not the expected one.
    """
    if find_cached(model.name):
        return locate(model)
    address = model.address
    if address is None:
        raise UserError(f"{model.name} cannot be downloaded by a program. {model.how_to_get()}")
    return write_atomic(cache_folder() / model.file_name, lambda temporary: _fetch(model, address, temporary))


def _fetch(model: ListedModel, address: str, target: Path) -> None:
    """Stream the file to `target` with progress, then check it."""
    import urllib.error
    import urllib.request

    from rich.progress import wrap_file

    try:
        with urllib.request.urlopen(address, timeout=60) as response, open(target, "wb") as file:
            size = int(response.headers.get("Content-Length") or 0)
            with wrap_file(response, size, description=model.name) as source:
                while chunk := source.read(1 << 20):
                    file.write(chunk)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise UserError(f"{address} cannot be downloaded: {error}. {model.how_to_get()}") from error
    if size and target.stat().st_size != size:
        raise UserError(f"{address}: only {target.stat().st_size} of {size} bytes arrived. Try again.")
    _verify(model, target)


def _verify(model: ListedModel, path: Path) -> None:
    """Compare a file with the digits of the checksum that are known."""
    if model.checksum is None:
        return
    kind, _, digits = model.checksum.partition(":")
    found = digest_of_file(path, kind)
    if not found.startswith(digits):
        raise UserError(
            f"checkpoint {path} is not {model.name}: its {kind} starts with {found[: len(digits)]}, expected {digits}. "
            f"Remove it. {model.how_to_get()}"
        )
