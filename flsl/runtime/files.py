"""Files that are either whole or absent, and digests that tell one set of files from another."""

import hashlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError
from flsl.runtime.text import shorten

TEMPORARY = re.compile(r"\..+\.tmp-[^.]+(\.[^.]+)?")  # names that `write_atomic` gives, until it is done
KINDS = {  # what a path may lead to that is no file
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFDIR: "folder",
}
IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm"}  # names of pictures end so
LARGEST_LIST = 16 << 20  # bytes of a list of names
SAMPLE = 256  # files whose contents a digest by sizes reads all the same


def write_atomic(path: str | Path, write: Callable[[Path], object], *, replace: bool = True) -> Path:
    """Let `write(temporary_path)` fill a temporary file beside `path`, then move it into place.

    A crash leaves either the old file or the new one, never half of one (temporary file, fsync, rename).

    Args:
        path: the file; missing folders are made.
        write: gets the temporary file's path, which has the same suffix.
        replace: False refuses to replace an existing file, also one that another writer makes at the same moment.

    Raises:
        UserError: the disk refuses, or the file is there and `replace` is False; the message names it.
    """
    path = Path(path)
    temporary = _begin(path)
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)  # unlike a rename, it notices that the name is taken
    except FileExistsError:
        raise UserError(f"{path} exists already and is not overwritten. Move it away first.") from None
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. The previous file, if any, is intact."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _begin(path: Path) -> Path:
    """Make the temporary file beside `path`, and missing folders. Raises UserError where the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.tmp-", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}. Choose a folder that can be written to.") from error
    return Path(name)


def require_writable(path: Path, option: str) -> None:
    """Raise UserError where `option` names no file that `write_atomic` could write: before the work that it is to hold."""
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder. Name a file to write.")
    _begin(path).unlink()


def write_text(path: str | Path, text: str) -> Path:
    """Write UTF-8 text atomically; see `write_atomic`."""
    return write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes, *, replace: bool = True) -> Path:
    """Write a file atomically; see `write_atomic`."""
    return write_atomic(path, lambda temporary: temporary.write_bytes(data), replace=replace)


def read_file(path: str | Path, largest: int) -> bytes:
    """Return the bytes of a file that may be anybody's.

    Args:
        path: the file.
        largest: bytes above which it is not read at all.

    Raises:
        UserError: it is none (a named pipe would keep the reader waiting for ever), too large, or the disk refuses.
    """
    try:
        status = os.stat(path)
        _require_kind(path, status)
        if status.st_size > largest:
            limit = f"{status.st_size} bytes are more than the {largest >> 20} MiB that it may have"
            raise UserError(f"{path} cannot be read: its {limit}. Is it the right file?")
        with open(path, "rb") as file:
            return file.read(status.st_size)  # no more, whatever grows or pretends to be empty
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def read_lines(path: Path, expected: str) -> list[tuple[str, str]]:
    """Return the lines of a list that are not empty, without the spaces around them, each with where it is.

    Raises UserError where the list cannot be read; `expected` says what is in a line.
    """
    try:
        lines = read_file(path, LARGEST_LIST).decode("utf-8-sig", errors="replace").splitlines()
    except UserError as error:
        raise UserError(f"{error} Expected is a list with {expected} a line.") from error
    stripped = [(line.strip(), f"{path}, line {number}") for number, line in enumerate(lines, start=1)]
    return [(line, where) for line, where in stripped if line]


def _require_kind(path: str | Path, status: os.stat_result) -> None:
    """Raise UserError for what is no file: a named pipe would keep its reader waiting for ever."""
    if kind := KINDS.get(stat.S_IFMT(status.st_mode)):
        raise UserError(f"{path} cannot be read: it is a {kind}, not a file. Remove it, or name another.")


def write_tensors(path: str | Path, content: Any) -> Path:
    """Write nested tensors and plain values by `torch.save`, atomically; see `write_atomic`."""
    import torch

    try:
        return write_atomic(path, lambda temporary: torch.save(content, temporary))
    except RuntimeError as error:  # torch's way of saying so
        raise UserError(f"cannot write {path}: the disk is full, or refuses ({error})") from error


def remove_temporary(folder: Path, below: Iterable[str]) -> None:
    """Remove what killed writers left in a folder and anywhere below some of its subfolders.

    Only for what nobody writes to now: other subfolders may be those of a run that is going on.
    """
    for path in [*folder.glob(".*.tmp-*"), *(path for name in below for path in (folder / name).rglob(".*.tmp-*"))]:
        if TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def list_files(folder: str | Path, suffixes: Collection[str]) -> list[Path]:
    """Return all files below a folder whose names end in one of `suffixes` (in small letters), sorted.

    Names that begin with `._` are left out: macOS leaves such a file, no picture, beside each one that it copies.

    Linked folders are followed. One that several ways lead to counts once, which ends loops too, and is warned of. No
    file is asked for its kind: a folder may hold a million.

    Raises:
        UserError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # what is not there holds nothing
            raise UserError(f"{error.filename} cannot be read ({error.strerror}).") from error

    found: list[str] = []
    listed: dict[str, str] = {}
    for at, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        folders.sort()
        first = listed.setdefault(os.path.realpath(at), at)
        if first != at:
            print(f"warning: {at} is {first} once more, and counts once", file=sys.stderr)
            folders.clear()
            continue
        found += (os.path.join(at, name) for name in names if _is_of(name, suffixes))
    return sorted(map(Path, found))


def _is_of(name: str, suffixes: Collection[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes and not name.startswith("._")


def inside(folder: Path) -> str:
    """Return what a folder holds, shortened, for a message that says what is not there."""
    return shorten(sorted(path.name for path in folder.iterdir())) or "nothing"


def sha256_of_file(path: str | Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes."""
    return digest_of_file(path, "sha256")


def digest_of_file(path: str | Path, kind: str) -> str:
    """Return the hexadecimal digest of a file's bytes; `kind` is one of `hashlib`'s names, e.g. md5. UserError: it is no file."""
    digest = hashlib.new(kind)
    _require_kind(path, os.stat(path))
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of_files(root: Path, paths: Iterable[Path], *, contents: bool) -> str:
    """Return a hexadecimal sha256 that tells a set of files from another.

    Args:
        root: folder that names are taken relative to, so that a copy elsewhere has the same digest.
        paths: the files, in any order.
        contents: read every file; otherwise sizes count, and the contents of `SAMPLE` files spread evenly over the list,
            which is enough to notice that images were replaced and takes seconds for a million of them.

    Raises:
        UserError: a file is not there or cannot be read.
    """
    digest = hashlib.sha256()
    start = os.path.join(root, "")
    texts = ((str(path), path) for path in paths)
    named = sorted((t.removeprefix(start) if t.startswith(start) else os.path.relpath(t, root), p) for t, p in texts)
    every = 1 if contents else max(len(named) // SAMPLE, 1)
    for number, (name, path) in enumerate(named):
        try:
            digest.update(f"{name}\0{os.path.getsize(path)}\0".encode(errors="surrogateescape"))
            if number % every == 0:
                digest.update(bytes.fromhex(sha256_of_file(path)))
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}). Replace the file.") from error
    return digest.hexdigest()
