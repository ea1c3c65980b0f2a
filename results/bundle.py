"""Results in one archive: records with their recipes and reports, no weights, and a manifest of hashes that import checks."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from flsl.runtime.errors import UserError
from flsl.runtime.files import write_bytes
from results.record import Record
from results.store import Loaded, load_records, read_record, store_path

MANIFEST = "MANIFEST.json"
REPORTS = "reports"
SUFFIXES = {".py", ".json", ".csv", ".md", ".html", ".txt", ".png", ".jpg", ".jpeg"}  # recipes, reports, pictures
LARGEST = 4 << 20  # bytes; predictions and anything else above this stay at home
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same records give the same archive


def write_bundle(records: Mapping[Path, Record], out: Path, reports: Iterable[Path] = ()) -> list[str]:
    """Pack records, the small files that they name (recipe, pictures) and `reports` into the zip archive `out`.

    Returns the names in the archive. Raises UserError if two records claim one place with different contents, or
    a report cannot be read.
    """
    entries = _gather(records)
    for report in reports:
        try:
            _add(entries, f"{REPORTS}/{report.name}", report.read_bytes(), report)
        except OSError as error:
            raise UserError(f"report {report} cannot be read: {error.strerror}.") from None
    files = {name: hashlib.sha256(entries[name]).hexdigest() for name in sorted(entries)}
    manifest = json.dumps({"bundle_version": 1, "records": len(records), "sha256": files}, indent=1) + "\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(MANIFEST, manifest.encode()), *sorted(entries.items())]:
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    write_bytes(out, buffer.getvalue())
    return list(files)


def _gather(records: Mapping[Path, Record]) -> dict[str, bytes]:
    """Return the bytes of each record, and of the small files that it names, by their place in a store."""
    entries: dict[str, bytes] = {}
    for path, record in sorted(records.items()):
        place = store_path(record)
        _add(entries, str(place), path.read_bytes(), path)
        for name in record.files.values():
            beside = path.parent / name
            if beside.is_file() and beside.suffix in SUFFIXES and beside.stat().st_size <= LARGEST:
                _add(entries, str(place.parent / name), beside.read_bytes(), beside)
    return entries


def _add(entries: dict[str, bytes], name: str, data: bytes, source: Path) -> None:
    if entries.setdefault(name, data) != data:
        raise UserError(
            f"{source} and another file are both the bundle's {name}, but differ: the same model, recipe, protocol, data "
            "and seed twice. Leave one of them out."
        )


def read_bundle(path: Path) -> dict[str, bytes]:
    """Return the files of a bundle by name, each checked against the manifest.

    Raises UserError naming the file that is changed, missing, not listed or outside the archive.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"bundle {path} cannot be read: {error.strerror}.") from None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {info.filename: archive.read(info) for info in archive.infolist()}
        hashes = dict(json.loads(entries.pop(MANIFEST))["sha256"])
    except Exception as error:  # damaged bytes may raise anything that zipfile, its decompressors and json know
        raise UserError(
            f"{path} is not a bundle made by `python -m results bundle`, or is damaged ({error}). Ask for it again."
        ) from None
    for name in sorted(entries.keys() | hashes.keys()):
        if name not in hashes or name not in entries:
            where = "the manifest does not list it" if name not in hashes else "it is missing from the archive"
            raise UserError(f"bundle {path} is not as it was packed: {name}: {where}. Ask for it again.")
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise UserError(f"bundle {path} holds {name!r}, which would land outside the store.")
        if hashlib.sha256(entries[name]).hexdigest() != hashes[name]:
            raise UserError(f"bundle {path} is not as it was packed: {name} has another hash. Ask for it again.")
    return entries


def import_folder(source: Path, store: Path) -> tuple[list[Path], Loaded]:
    """Copy every valid record under `source` into the store, with the small files that it names.

    Returns the new files and what was loaded. Raises UserError, before anything is written, if the store holds
    other contents at the same place.
    """
    loaded = load_records(source)
    return store_entries(_gather(loaded.records), store), loaded


def store_entries(entries: Mapping[str, bytes], store: Path) -> list[Path]:
    """Write files into the store; equal ones that are there already are left. Returns what is new.

    Raises UserError naming every file that is there with other contents; nothing is written then.
    """
    new = {name: store / name for name in sorted(entries) if not (store / name).exists()}
    conflicts = [name for name in sorted(entries) if name not in new and (store / name).read_bytes() != entries[name]]
    if conflicts:
        raise UserError(
            f"nothing was imported: {store} holds other contents for {', '.join(conflicts)}. Compare them, then move one "
            "away, or import into another --store."
        )
    # A record is what makes the others count, so it comes last.
    for name, path in sorted(new.items(), key=lambda item: (item[0].endswith("/record.json"), item[0])):
        write_bytes(path, entries[name], replace=False)
    return list(new.values())


def import_bundle(path: Path, store: Path) -> list[Path]:
    """Verify a bundle and put its files into the store; see `store_entries`. Raises UserError also if one of its
    records is not valid."""
    import tempfile

    entries = read_bundle(path)
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name in entries if name.endswith("/record.json")):
            copy = Path(folder, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(entries[name])
            record = read_record(copy)
            if str(store_path(record)) != name:
                raise UserError(f"bundle {path} has a record of {store_path(record)} at {name}.")
    return store_entries(entries, store)
