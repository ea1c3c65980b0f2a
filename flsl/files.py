"""Files that are either whole or absent."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from flsl.errors import UserError


def write_atomic(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write(temporary_path)` fill a temporary file beside `path`, then move it into place.

    A crash leaves either the old file or the new one, never half of one (temporary file, fsync, rename).
    Raises UserError, naming the file, if the disk refuses.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}. Choose a folder that can be written to.") from error
    temporary = Path(name)
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. The previous file, if any, is intact."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def sha256_of_file(path: str | Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes."""
    return digest_of_file(path, "sha256")


def digest_of_file(path: str | Path, kind: str) -> str:
    """Return the hexadecimal digest of a file's bytes; `kind` is one of `hashlib`'s names, e.g. md5."""
    digest = hashlib.new(kind)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
