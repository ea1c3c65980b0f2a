"""Records on disk: written whole or not at all, validated on the way in and out, found again under any folder."""

import dataclasses
import fnmatch
import os
import re
from collections.abc import Collection, Iterable, Iterator
from os.path import join, realpath
from pathlib import Path

from flsl.runtime.errors import UserError
from flsl.runtime.files import read_file, write_bytes
from results.record import Record
from results.schema import config_hash, record_from_json, record_to_json, record_to_plain
from results.validate import problems

RECORDS = "record*.json"
LARGEST = 64 << 20  # bytes of a record; one with the scores of 50,000 single images has 10 MiB
SHOWN = 5  # problems of one record that a message lists


def write_record(record: Record, path: str | Path, *, replace: bool = True) -> Path:
    """Validate a record and write it to `path` atomically; the same record always gives the same bytes.

    Args:
        record: what to write; an empty `config_sha256` is filled in.
        path: the file, by convention `record.json` or `record_<what>.json` in the run's output folder.
        replace: False refuses to overwrite an existing file, also one that another writer makes at the same moment.

    Raises:
        UserError: the record breaks an invariant, holds what JSON cannot, or the disk refuses. Nothing is written.
    """
    path = Path(path)
    try:
        if not record.config_sha256:
            plain = record_to_plain(record.config, "config")
            record = dataclasses.replace(record, config_sha256=config_hash(plain))
        record = record_from_json(record_to_json(record))  # the form in which it will be read back
        _require_valid(record)
        data = record_to_json(record)
    except UserError as error:
        raise UserError(f"record {path} was not written: {_sentence(error)}") from None
    return write_bytes(path, data, replace=replace)


def read_record(path: str | Path) -> Record:
    """Read and validate one record, of any schema version.

    Raises UserError naming the file and what is wrong with it.
    """
    return check_record(read_file(path, LARGEST), path)


def check_record(data: bytes, name: object) -> Record:
    """Return the record that a file's bytes hold; `name` is what messages call it. Raises UserError as `read_record`."""
    try:
        record = record_from_json(data)
        _require_valid(record)
    except UserError as error:
        raise UserError(f"record {name} is not valid: {_sentence(error)} Get it again, or remove it.") from None
    return record


def _require_valid(record: Record) -> None:
    if broken := problems(record):
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        raise UserError("; ".join(broken[:SHOWN] + more))


def _sentence(error: UserError) -> str:
    return f"{str(error).rstrip('.')}."


def find_records(folders: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return every `record*.json` under one or several folders (or the files themselves), sorted, each once.

    Raises UserError if one does not exist, or nothing is found.
    """
    places = [Path(f) for f in ([folders] if isinstance(folders, (str, Path)) else folders)]
    found: set[str] = set()  # sorting thousands of Paths takes longer than reading them
    for folder in places:
        if os.path.isdir(folder):
            found.update(_walk(folder))
        elif os.path.lexists(folder):
            found.add(str(folder))
        else:
            near = folder.absolute()
            while not os.path.exists(near):
                near = near.parent
            raise UserError(
                f"{folder} does not exist (the nearest folder that does is {near}). Give the folder that evaluations "
                "wrote to with --out, or any folder above it."
            )
    if not found:
        names = ", ".join(str(folder) for folder in places)
        raise UserError(
            f"no records in {names}: there is no file named record*.json in it or below. "
            "Each `python -m eval ... --out DIR` writes one; give that folder, or any folder above it."
        )
    return [Path(name) for name in sorted(found)]


def _walk(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        # A folder of that name is no record, which reading it will say.
        yield from (join(root, name) for name in fnmatch.filter([*folders, *files], RECORDS))


def beside(path: Path, name: str, suffixes: Collection[str], largest: int) -> bytes | None:
    """Return the bytes of a file that the record at `path` names; None if it may not leave the record's folder.

    That is one of another type or size, a hidden one, and whatever is reached through a link, wherever it leads.
    """
    place = path.parent / name
    hidden = any(part.startswith(".") for part in Path(name).parts)
    if hidden or place.suffix.lower() not in suffixes or realpath(place) != join(realpath(path.parent), name):
        return None
    try:
        return read_file(place, largest)
    except UserError:
        return None


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a look through folders found: valid records by path, and a message for each broken one."""

    records: dict[Path, Record]
    broken: dict[Path, str]


def look_through(folders: str | Path | Iterable[str | Path]) -> Loaded:
    """Read every record under the folders; a broken one is reported by name and does not stop the rest.

    Raises UserError if a folder does not exist, or holds no record.
    """
    records, broken = {}, {}
    for path in find_records(folders):
        try:
            records[path] = read_record(path)
        except UserError as error:
            broken[path] = str(error)
    return Loaded(records, broken)


def load_records(folders: str | Path | Iterable[str | Path]) -> Loaded:
    """Look through folders for records to work with. Raises UserError as `look_through`, or if no valid one is left."""
    loaded = look_through(folders)
    if not loaded.records:
        broken = list(loaded.broken.values())
        more = f" And {len(broken) - 3} more." if len(broken) > 3 else ""
        raise UserError("no valid record is left. " + " ".join(broken[:3]) + more)
    return loaded


def store_path(record: Record) -> Path:
    """Return a record's place in a store, relative to it: one folder per (benchmark, protocol, data, model, recipe, seed).

    A part of the data (`--videos`) is data of its own.
    """
    data, model = record.dataset, record.model
    digests = "".join(f".{digest[:8]}" for digest in (data.annotation_sha256, data.train_sha256) if digest)
    part = "" if record.status == "complete" else f".part-{config_hash({'items': sorted(record.per_item)})[:8]}"
    parts = (
        record.benchmark,
        record.protocol.replace("/", "."),
        f"{data.name}.{data.split}{digests}{part}",
        f"{model.name}.{model.fingerprint[:12]}.{record.config_sha256[:8]}",
        f"seed{record.seed}",
    )
    return Path(*(re.sub(r"[^\w.@+-]", "-", part).lstrip(".") or "-" for part in parts), "record.json")
