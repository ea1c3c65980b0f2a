"""Checkpoints on the Hugging Face Hub: `org/name[@revision][/file]`, looked up in its cache; the network only when asked.

The cache and the log-in are the library's own (`hf auth login`, $HF_HOME, $HF_TOKEN); $HF_ENDPOINT names another server.
"""

import json
from pathlib import Path
from typing import NamedTuple

from flsl.runtime.errors import UserError
from flsl.runtime.names import safe_name

INDEX = "model.safetensors.index.json"
WEIGHTS = ("encoder.safetensors", "model.safetensors", "open_clip_model.safetensors", INDEX, "pytorch_model.bin")
BESIDE = ("config.json", "preprocessor_config.json")  # what a format may look for


class Place(NamedTuple):
    """What a name says: the repository, the revision (None: its newest), and the file (None: the first of `WEIGHTS`)."""

    repository: str
    revision: str | None
    file: str | None


def parse_name(name: str) -> Place:
    """Split `org/name@revision/file`.

    Raises:
        UserError: it is not of this form.
    """
    organization, _, rest = name.partition("/")
    model, _, file = rest.partition("/")
    model, _, revision = model.partition("@")
    if not organization or not model:
        raise UserError(
            f"hf:{name!s:.80} is no name on the Hub: expected hf:ORG/NAME, hf:ORG/NAME@REVISION or hf:ORG/NAME/FILE"
        )
    safe_name(f"{organization}/{model}", "a repository", f"hf:{name!s:.80}", folders=True)
    return Place(
        f"{organization}/{model}", revision or None, safe_name(file, "a file", name, folders=True) if file else None
    )


def find_cached(name: str) -> Path | None:
    """Return the weight file of that name in the library's cache; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    place = parse_name(name)
    for file in (place.file,) if place.file else WEIGHTS:
        if isinstance(found := try_to_load_from_cache(place.repository, file, revision=place.revision), str):
            return Path(found)
    return None


def locate(name: str) -> Path:
    """Return the weight file of that name on this machine.

    Raises:
        UserError: it is in no cache; the message says how to get it.
    """
    if (found := find_cached(name)) is None:
        raise UserError(
            f"checkpoint hf:{name} is not in the Hugging Face cache of this machine, and nothing is fetched unasked. "
            f"Run `python -m flsl models hf:{name} --download`."
        )
    return found


def download(name: str) -> Path:
    """Fetch the weight file of that name, and what describes it, into the library's cache; returns its path.

    Raises:
        UserError: no network, no such repository or no access to it, or no weight file in it.
    """
    from huggingface_hub import HfApi

    place, hub = parse_name(name), HfApi()
    try:
        there = hub.list_repo_files(place.repository, revision=place.revision)
        file = place.file or next((file for file in WEIGHTS if file in there), None)
        if file is None or file not in there:
            shown = ", ".join(
                [one for one in there if one.endswith((".safetensors", ".pth", ".pt", ".bin", ".ckpt"))][:12]
            )
            wanted = file or f"none of {', '.join(WEIGHTS)}"
            raise UserError(
                f"hf:{name}: {wanted} is not there. Name a file as hf:ORG/NAME/FILE; there are: {shown or 'no weights'}."
            )

        def fetch(one: str) -> Path:
            return Path(hub.hf_hub_download(place.repository, one, revision=place.revision))

        folder = file.rpartition("/")[0]
        for beside in BESIDE:
            if (one := f"{folder}/{beside}".lstrip("/")) in there:
                fetch(one)
        found = fetch(file)
        if found.name.endswith(".index.json"):
            for shard in sorted(set(json.loads(found.read_text())["weight_map"].values())):
                fetch(f"{folder}/{shard}".lstrip("/"))
    except UserError:
        raise
    except Exception as error:  # the library, and what it calls, raise nearly anything
        raise UserError(f"hf:{name} cannot be downloaded: {_told(error)}") from error
    return found


def upload(folder: Path, repository: str, *, private: bool) -> str:
    """Create a repository where there is none, write a folder's files to it, and return its address.

    Raises:
        UserError: no network, or no permission.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Encoder, card and records")
    except Exception as error:
        raise UserError(f"{repository} cannot be written: {_told(error)} Log in first: hf auth login.") from error
    return str(address)


def _told(error: Exception) -> str:
    first = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"{type(error).__name__}: {first:.300}"
