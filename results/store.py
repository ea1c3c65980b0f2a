"""Records on disk: written whole or not at all, validated on the way in and out, found again under any folder."""

import contextlib
import dataclasses
import fnmatch
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from results.errors import ResultsError
from results.record import Record
from results.schema import config_hash, record_from_plain, record_to_plain
from results.validate import problems


def write_record(record: Record, path: str | Path, *, replace: bool = True) -> Path:
    """Validate a record and write it to `path` atomically; the same record always gives the same bytes.

    Args:
        record: what to write; an empty `config_sha256` is filled in.
        path: the file, by convention `record.json` or `record_<what>.json` in the run's output folder.
        replace: False refuses to overwrite an existing file, also one that another writer makes at the same moment.

    Raises:
        ResultsError: the record breaks an invariant, holds what JSON cannot, or the disk refuses. Nothing is written.
    """
    path = Path(path)
    if not record.config_sha256:
        try:
            record = dataclasses.replace(record, config_sha256=config_hash(record_to_plain(record.config)))
        except ResultsError as error:
            raise ResultsError(f"record {path} was not written: config.{error}.") from None
    try:
        record = record_from_plain(record_to_plain(record))  # the form in which it will be read back
    except ResultsError as error:
        raise ResultsError(f"record {path} was not written: {error}.") from None
    if broken := problems(record):
        raise ResultsError(f"record {path} was not written: {'; '.join(broken)}.")
    text = json.dumps(record_to_plain(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode(), replace=replace)
    return path


def read_record(path: str | Path) -> Record:
    """Read and validate one record, of any schema version.

    Raises ResultsError naming the file and what is wrong with it.
    """
    try:
        with open(path, "rb") as file:
            plain = json.loads(file.read(), parse_constant=_refuse_constant)
    except OSError as error:
        raise ResultsError(f"record {path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"record {path} is not a JSON document ({error}). Delete it and run the evaluation again."
        ) from None
    try:
        record = record_from_plain(plain)
    except ResultsError as error:
        raise ResultsError(f"record {path} is not valid: {error}.") from None
    if broken := problems(record):
        raise ResultsError(f"record {path} is not valid: {'; '.join(broken)}.")
    return record


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no result")


def write_bytes(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Put `data` at `path` so that a crash at any moment leaves the old file or the new one (temporary file, fsync,
    rename). Raises ResultsError if the disk refuses, or if `replace` is False and the file is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(handle)
            os.chmod(temporary, 0o644)
            if replace:
                os.replace(temporary, path)
            else:
                _link(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror}. Choose a folder that can be written to.") from None


def _link(temporary: str, path: Path) -> None:
    """Give a finished file its name, unless the name is taken (which a rename would not notice)."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise ResultsError(f"{path} exists already and is not overwritten. Move it away first.") from None


def find_records(folders: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return every `record*.json` under one or several folders (or the files themselves), sorted, each once.

    Raises ResultsError if one does not exist, or nothing is found.
    """
    folders = [Path(f) for f in ([folders] if isinstance(folders, (str, Path)) else folders)]
    found: set[str] = set()  # sorting thousands of Paths takes longer than reading them
    for folder in folders:
        if folder.is_dir():
            found.update(_walk(folder))
        elif folder.is_file():
            found.add(str(folder))
        else:
            near = folder.absolute()
            while not near.exists():
                near = near.parent
            raise ResultsError(
                f"{folder} does not exist (the nearest folder that does is {near}). Give the folder that evaluations "
                "wrote to with --out, or any folder above it."
            )
    if not found:
        names = ", ".join(str(folder) for folder in folders)
        raise ResultsError(
            f"no records in {names}: there is no file named record*.json in it or below. "
            "Each `python -m eval ... --out DIR` writes one; give that folder, or any folder above it."
        )
    return [Path(name) for name in sorted(found)]


def _walk(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(root, name) for name in fnmatch.filter(files, "record*.json"))


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a look through folders found: valid records by path, and a message for each broken one."""

    records: dict[Path, Record]
    broken: dict[Path, str]


def load_records(folders: str | Path | Iterable[str | Path]) -> Loaded:
    """Read every record under the folders; a broken one is reported by name and does not stop the rest.

    Raises ResultsError if a folder does not exist, holds no record, or no valid one.
    """
    records, broken = {}, {}
    for path in find_records(folders):
        try:
            records[path] = read_record(path)
        except ResultsError as error:
            broken[path] = str(error)
    if not records:
        more = f" And {len(broken) - 3} more." if len(broken) > 3 else ""
        raise ResultsError("no valid record is left. " + " ".join(list(broken.values())[:3]) + more)
    return Loaded(records, broken)


def store_path(record: Record) -> Path:
    """Return a record's place in a store, relative to it: one folder a (benchmark, protocol, data, model, recipe, seed)."""
    data, model = record.dataset, record.model
    parts = (
        record.benchmark,
        record.protocol.replace("/", "."),
        f"{data.name}.{data.split}" + (f".{data.annotation_sha256[:8]}" if data.annotation_sha256 else ""),
        f"{model.name}.{model.fingerprint[:12]}.{record.config_sha256[:8]}",
        f"seed{record.seed}",
    )
    return Path(*(re.sub(r"[^\w.@+-]", "-", part).lstrip(".") or "-" for part in parts), "record.json")
