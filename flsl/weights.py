"""Weight files, read without running anything that they contain."""

import argparse
import hashlib
import json
import pathlib
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open

from flsl.hub import WEIGHTS
from flsl.runtime.errors import UserError
from flsl.runtime.files import sha256_of_file
from flsl.runtime.text import shorten

# Classes that a public checkpoint may hold besides tensors and plain values: the arguments of its training run. All
# are inert. Anything else is refused by name; `weights_only` is never switched off (docs/method.md, "Pitfalls").
ALLOWED_CLASSES = [argparse.Namespace, pathlib.PosixPath, pathlib.PurePosixPath]


@dataclass(frozen=True)
class WeightFile:
    """What a file holds. `tree` is nested dictionaries of tensors and plain values, as the file's writer laid it out."""

    path: Path
    tree: dict[str, Any]
    container: Literal["pickle", "safetensors"]
    sha256: str
    metadata: dict[str, str] = field(default_factory=dict)  # of the safetensors header
    config: dict[str, Any] = field(default_factory=dict)  # config.json and preprocessor_config.json beside the file


def read_weights(path: str | Path) -> WeightFile:
    """Read a .pth/.pt/.bin or .safetensors file, a `*.safetensors.index.json` with its shards, or a folder with one.

    What the file is, is decided by its first bytes, never by its name.

    Raises:
        UserError: no such file, no weight file, cut short, larger inside than outside, or holding Python objects
            that are neither tensors nor plain values (named; nothing of it has been executed).
    """
    path = _find(Path(path))
    beside = _json_beside(path)
    with open(path, "rb") as file:
        start = file.read(512)
    if start.lstrip()[:1] == b"{":
        tensors, digest = _read_shards(path)
        return WeightFile(path, tensors, "safetensors", digest, config=beside)
    if start[8:9] == b"{":
        tensors, metadata = _read_safetensors(path)
        return WeightFile(path, tensors, "safetensors", sha256_of_file(path), metadata, beside)
    if start[:4] != b"PK\x03\x04" and start[:1] != b"\x80":
        raise UserError(f"checkpoint {path} is no weight file: {_describe(start)}")
    tree = _read_pickle(path, zipped=start[:2] == b"PK")
    return WeightFile(path, tree, "pickle", sha256_of_file(path), config=beside)


def _find(path: Path) -> Path:
    """Return the weight file that a path means."""
    if path.is_dir():
        found = [path / name for name in WEIGHTS if (path / name).is_file()]
        if not found:
            raise UserError(f"checkpoint {path} is a folder without any of {', '.join(WEIGHTS)}. Name the weight file.")
        return found[0]
    if not path.is_file():
        raise UserError(f"checkpoint {path} does not exist")
    return path


def _describe(start: bytes) -> str:
    """Say what a file that is no weight file seems to be, from its first bytes, and what to do."""
    text = start.lstrip().lower()
    if not start:
        return "it is empty. Download it again."
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is a web page. The address leads to a page, not to the file itself: find the direct download."
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer. Run `git lfs pull` in its repository."
    if start[:2] == b"\x1f\x8b" or start[257:262] == b"ustar":
        return "it is a packed archive. Unpack it and name the weight file inside."
    if start[:6] == b"\x93NUMPY":
        return "it is a NumPy array. Save a PyTorch or safetensors state dict."
    return f"it starts with {start[:8]!r}; expected a PyTorch (.pth) or safetensors file. Download it again."


def _read_pickle(path: Path, zipped: bool) -> dict[str, Any]:
    """Read what `torch.save` wrote, by torch's restricted unpickler."""
    if zipped:
        _refuse_bomb(path)
    try:
        try:
            tree = _load(path, _numpy_scalars())
        except pickle.UnpicklingError:
            if (lightning := _read_lightning(path) if zipped else None) is None:
                raise
            tree = lightning
    except pickle.UnpicklingError as error:
        raise UserError(f"checkpoint {path} was refused, and nothing in it was executed: {_reason(error)}") from error
    except Exception as error:  # damaged files raise nearly anything: EOFError, RuntimeError, KeyError, struct.error
        what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise UserError(
            f"checkpoint {path} cannot be read ({what}). It is damaged or cut short. Download it again."
        ) from error
    if not isinstance(tree, dict):
        raise UserError(f"checkpoint {path} holds a {type(tree).__name__}; expected a dictionary of tensors")
    try:
        tensors = list(_tensors(tree))
    except RecursionError as error:
        raise UserError(f"checkpoint {path} holds a dictionary that contains itself. It was refused.") from error
    for tensor in tensors:
        if (
            tensor.layout == torch.strided
            and tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size()
        ):
            raise UserError(
                f"checkpoint {path} holds a tensor of shape {tuple(tensor.shape)} with less data than that. It was "
                "made to fill the memory, or is damaged: download it again."
            )
    return tree


def _load(path: Path, more: Sequence[Any]) -> Any:
    """Call torch's restricted unpickler; `more` classes are allowed besides the usual ones, each name once."""
    with torch.serialization.safe_globals([*ALLOWED_CLASSES, *more]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice for developers on pickle protocols
        return torch.load(path, map_location="cpu", weights_only=True)


class _LeftOut:
    """What stands for an object of any other class or function: nothing of it is called, its parts are thrown away."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


class _LeftOutWithItems:
    """The same for what may be a kind of dictionary: the one type that takes both items and attributes from a pickle."""

    def __new__(cls, *_: Any) -> Any:
        return OrderedDict()


def _read_lightning(path: Path) -> dict[str, Any] | None:
    """Return the tensors of a Lightning checkpoint, whose hyper-parameters and callbacks may be objects of any class.

    These are never made: something inert is read in the place of each. None if the file is another program's.
    """
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):  # torch before 2.6
        return None
    try:
        with torch.serialization.safe_globals([*ALLOWED_CLASSES]):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        whole = ("numpy.", "functools.partial")  # whose state is a tuple
        tree = _load(path, [(_LeftOut if name.startswith(whole) else _LeftOutWithItems, name) for name in names])
    except Exception:  # it stays refused, for the first reason
        return None
    known = isinstance(tree, dict) and "pytorch-lightning_version" in tree and isinstance(tree.get("state_dict"), dict)
    return {key: tree[key] for key in ("state_dict", "epoch", "global_step") if key in tree} if known else None


def _numpy_scalars() -> list[Any]:
    """Return what rebuilds a NumPy number; training scripts save some among their losses and epochs."""
    import numpy as np

    kinds = (np.float64, np.float32, np.int64, np.int32, np.bool_)
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]  # it has no public name
    return [scalar, np.dtype, *{type(np.dtype(kind)) for kind in kinds}]


def _reason(error: Exception) -> str:
    """Return the part of torch's message that names the offending object, without its advice to switch safety off."""
    for line in str(error).splitlines():
        for marker in ("Unsupported global: GLOBAL ", "Trying to load unsupported GLOBAL "):
            if marker in line:
                name = line.split(marker)[1].split()[0]
                return (
                    f"it holds the Python object {name}, and only tensors, plain values and argparse.Namespace are "
                    "read. If you trust its source, save its state dict alone and use that file."
                )
    detail = (
        str(error).rpartition("error: ")[2].splitlines()[0][:200] if "error: " in str(error) else "no tensors in it"
    )
    return f"it is a pickle, but not one of tensors and plain values ({detail}). Save its state dict alone."


def _refuse_bomb(path: Path) -> None:
    """Refuse a zip whose contents are larger than the file (torch never compresses weights), and TorchScript."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"checkpoint {path} is cut short or damaged ({error}). Download it again.") from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise UserError(
            f"checkpoint {path} is a TorchScript program, not weights: save its state dict and use that file."
        )
    claimed, actual = sum(entry.file_size for entry in entries), path.stat().st_size
    if claimed > actual:
        raise UserError(
            f"checkpoint {path} was refused: it has {actual} bytes and claims to hold {claimed}. PyTorch does not "
            "compress its files, so this was not written by torch.save."
        )


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors and the header's metadata."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"checkpoint {path} is not a readable safetensors file: {error}. It is damaged or cut short: download it "
            "again."
        ) from error


def _read_shards(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Read every shard that an index names; the digest covers the shards' names and own digests."""
    try:
        names = json.loads(path.read_text())["weight_map"]
        shards = sorted(map(Path, set(names.values())))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"checkpoint {path} is JSON, but no index of safetensors shards (it lacks 'weight_map'). Name the weight "
            "file itself."
        ) from error
    tensors: dict[str, torch.Tensor] = {}
    digest = hashlib.sha256()
    for shard in shards:
        if len(shard.parts) != 1:
            raise UserError(f"checkpoint {path} names a shard outside of its folder: {str(shard)!r}. It was refused.")
        if not (path.parent / shard).is_file():
            raise UserError(f"checkpoint {path} needs the shard {shard}, which is not beside it. Download it too.")
        tensors |= _read_safetensors(path.parent / shard)[0]
        digest.update(f"{sha256_of_file(path.parent / shard)}  {shard}\n".encode())
    missing = [key for key in names if key not in tensors]
    if missing:
        raise UserError(f"checkpoint {path} promises tensors that its shards lack: {shorten(missing, 10)}")
    return tensors, digest.hexdigest()


def _json_beside(path: Path) -> dict[str, Any]:
    """Return config.json and preprocessor_config.json of the file's folder, merged; nothing where there are none.

    Raises UserError for one that cannot be read: without it, heads and normalization would be guessed.
    """
    merged: dict[str, Any] = {}
    for name in ("preprocessor_config.json", "config.json"):
        beside = path.parent / name
        if not beside.is_file():
            continue
        try:
            content = json.loads(beside.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"checkpoint {path}: {beside}, which may say what the weights cannot, is no JSON ({error}). Download it again, or "
                "move it away."
            ) from error
        merged |= content if isinstance(content, dict) else {}
    return merged


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    """Yield every tensor of nested dictionaries and lists."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _tensors(value)
