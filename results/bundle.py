"""Results in one archive: records with their recipes and reports, no weights, and a manifest of hashes that import checks.

What may be in it: `record.json` at its place in a store (`results.store.store_path`), beside it files of `SUFFIXES` that
the record names, and reports. Nothing else is packed or imported, and nothing above the limits below.
"""

import fnmatch
import hashlib
import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from flsl.runtime.errors import UserError
from flsl.runtime.files import read_file, write_bytes
from flsl.runtime.names import LONGEST, safe_name
from results import store
from results.record import Record
from results.store import Loaded, beside, check_record, load_records, store_path

VERSION = 1
MANIFEST = "MANIFEST.json"
REPORTS = "reports"
RECORD = "record.json"
REPORT_SUFFIXES = {".json", ".csv", ".md", ".html", ".tex", ".txt", ".png", ".jpg", ".jpeg"}
SUFFIXES = REPORT_SUFFIXES - {".tex"} | {".py"}  # of what a record names: recipes, tables, pictures
LARGEST = 4 << 20  # bytes; predictions and anything else above this stay at home
LARGEST_REPORT = 64 << 20  # bytes; a leaderboard's page holds the details of every record
LARGEST_ARCHIVE = 256 << 20  # bytes
LARGEST_CONTENTS = 1 << 30  # bytes of all files together
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # the others can unpack a few bytes to any number at once
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same records give the same archive


def write_bundle(records: Mapping[Path, Record], out: Path, reports: Iterable[Path] = ()) -> list[str]:
    """Pack records, the small files that they name (recipe, pictures) and `reports` into the zip archive `out`.

    Returns the names in the archive. Raises UserError if two records claim one place with different contents, a name is
    too long, or a report cannot be read or is of no type that `import` takes.
    """
    entries = _gather(records)
    for report in reports:
        name = f"{REPORTS}/{report.name}"
        if fault := _report_fault(name):
            raise UserError(f"report {report} cannot be packed: {fault}.")
        _add(entries, name, read_file(report, LARGEST_REPORT), report)
    files = {name: hashlib.sha256(entries[name]).hexdigest() for name in sorted(entries)}
    manifest = json.dumps({"bundle_version": VERSION, "records": len(records), "sha256": files}, indent=1) + "\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(MANIFEST, manifest.encode()), *sorted(entries.items())]:
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    if buffer.tell() > LARGEST_ARCHIVE or sum(map(len, entries.values())) > LARGEST_CONTENTS:
        limits = f"{LARGEST_ARCHIVE >> 20} MiB, {LARGEST_CONTENTS >> 20} MiB unpacked"
        raise UserError(f"{out} would be larger than a bundle may be ({limits}). Pack fewer records at once.")
    write_bytes(out, buffer.getvalue())
    return list(files)


def _gather(records: Mapping[Path, Record]) -> dict[str, bytes]:
    """Return the bytes of each record, and of the small files that it names, by their place in a store."""
    entries: dict[str, bytes] = {}
    for path, record in sorted(records.items()):
        place = store_path(record)
        if too_long := [part for part in place.parts if len(os.fsencode(part)) > LONGEST]:
            raise UserError(
                f"record {path} has no place in a store: {too_long[0][:40]}... would be a name of more than {LONGEST} bytes. "
                "Give model, data and benchmark shorter names (--name)."
            )
        _add(entries, str(place), read_file(path, store.LARGEST), path)
        for name in record.files.values():
            if not _is_record(name) and (data := beside(path, name, SUFFIXES, LARGEST)) is not None:
                _add(entries, str(place.parent / name), data, path.parent / name)
    return entries


def _add(entries: dict[str, bytes], name: str, data: bytes, source: Path) -> None:
    if entries.setdefault(name, data) != data:
        twice = (
            "two reports of one name"
            if name.startswith(f"{REPORTS}/")
            else "one model, recipe, protocol, data and seed twice"
        )
        raise UserError(
            f"{source} and another file are both the bundle's {name}, but differ: {twice}. Leave one of them out."
        )


def _is_record(name: str) -> bool:
    """Tell whether a file, or a folder on the way to it, would be taken for a record."""
    return any(fnmatch.fnmatch(part, store.RECORDS) for part in PurePosixPath(name).parts)


def _report_fault(name: str) -> str:
    report = PurePosixPath(name)
    if len(report.parts) != 2 or report.suffix.lower() not in REPORT_SUFFIXES:
        return f"reports are files of the types {', '.join(sorted(REPORT_SUFFIXES))}"
    return "its name is that of a record" if _is_record(name) else "it is hidden" if report.name[0] == "." else ""


def read_bundle(path: Path) -> dict[str, bytes]:
    """Return the files of a bundle by name, each checked against the manifest.

    Raises UserError naming the file that is changed, missing, not listed, too large or of no kind that belongs there.
    """
    data = read_file(path, LARGEST_ARCHIVE)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = _unpack(path, archive)
        manifest = json.loads(entries.pop(MANIFEST))
        version, hashes = manifest["bundle_version"], dict(manifest["sha256"])
    except UserError:
        raise
    except Exception as error:  # damaged bytes may raise anything that zipfile, its decompressors and json know
        raise UserError(
            f"{path} is not a bundle made by `python -m results bundle`, or is damaged ({error}). Ask for it again."
        ) from None
    if version != VERSION:
        raise UserError(
            f"bundle {path} is of version {version!r}; this program knows {VERSION}. Import it with a newer one."
        )
    for name in sorted(entries.keys() | hashes.keys()):
        if name not in hashes or name not in entries:
            where = "the manifest does not list it" if name not in hashes else "it is missing from the archive"
            raise UserError(f"bundle {path} is not as it was packed: {name}: {where}. Ask for it again.")
        if hashlib.sha256(entries[name]).hexdigest() != hashes[name]:
            raise UserError(f"bundle {path} is not as it was packed: {name} has another hash. Ask for it again.")
    _require_places(path, entries)
    return entries


def _unpack(path: Path, archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return what an archive holds, by name, after a look at what it says about itself."""
    infos = archive.infolist()
    name, times = Counter(info.filename for info in infos).most_common(1)[0] if infos else ("", 0)
    if times > 1:
        raise UserError(f"bundle {path} holds {name!r} twice. Ask for it again.")
    if sum(info.file_size for info in infos) > LARGEST_CONTENTS:
        raise UserError(f"bundle {path} unpacks to more than {LARGEST_CONTENTS >> 20} MiB, so it is not read.")
    for info in infos:
        name = info.filename
        try:
            safe_name(name, "a file", f"bundle {path}", folders=True)
        except UserError as error:
            raise UserError(f"{error} As it is, it would land outside the store, or nowhere.") from None
        largest = store.LARGEST if _is_record(name) else LARGEST_REPORT
        if info.file_size > largest:
            raise UserError(f"bundle {path}: {name!r} unpacks to more than {largest >> 20} MiB, so it is not read.")
        if info.compress_type not in METHODS:
            raise UserError(
                f"bundle {path}: {name!r} is packed by a method that `python -m results bundle` does not use."
            )
    entries = {}
    for info in infos:
        with archive.open(info) as file:
            entries[info.filename] = file.read(info.file_size)  # no more, whatever else is packed there
    return entries


def _require_places(path: Path, entries: Mapping[str, bytes]) -> None:
    """Refuse a bundle with anything but valid records at their places, what they name, and reports."""
    named: set[str] = set()
    for name in (name for name in entries if PurePosixPath(name).name == RECORD):
        record = check_record(entries[name], f"{name} in {path}")
        if str(store_path(record)) != name:
            raise UserError(f"bundle {path} has a record of {store_path(record)} at {name}.")
        named |= {name, *(str(PurePosixPath(name).parent / of) for of in record.files.values() if not _is_record(of))}
    for name, data in entries.items():
        place = PurePosixPath(name)
        why = ""
        if name not in named:
            in_reports = place.parts[0] == REPORTS
            why = _report_fault(name) if in_reports else "it is no record, and no record beside it names it"
        elif any(part.startswith(".") for part in place.parts):
            why = "it is hidden"
        elif place.name != RECORD and (place.suffix.lower() not in SUFFIXES or len(data) > LARGEST):
            why = f"records name files of up to {LARGEST >> 20} MiB of the types {', '.join(sorted(SUFFIXES))}"
        elif any(str(above) in entries for above in place.parents):
            why = "what it lies in is a file"
        if why:
            raise UserError(f"bundle {path} holds {name!r}, which is not imported: {why}. Nothing was imported.")


def import_folder(source: Path, target: Path) -> tuple[list[Path], Loaded]:
    """Copy every valid record under `source` into a store, with the small files that it names.

    Returns the new files and what was loaded. Raises UserError, before anything is written, if the store holds
    other contents at the same place.
    """
    loaded = load_records(source)
    return store_entries(_gather(loaded.records), target), loaded


def store_entries(entries: Mapping[str, bytes], target: Path) -> list[Path]:
    """Write files into a store; equal ones that are there already are left. Returns what is new.

    Raises UserError naming every file that is there with other contents; nothing is written then.
    """
    new = {name: target / name for name in sorted(entries) if not os.path.lexists(target / name)}
    there = [name for name in sorted(entries) if name not in new]
    conflicts = [name for name in there if _contents(target / name, len(entries[name])) != entries[name]]
    if conflicts:
        raise UserError(
            f"nothing was imported: {target} holds other contents for {', '.join(conflicts)}. Compare them, then move one "
            "away, or import into another --store."
        )
    # A record is what makes the others count, so it comes last.
    for name, path in sorted(new.items(), key=lambda item: (item[0].endswith(f"/{RECORD}"), item[0])):
        write_bytes(path, entries[name], replace=False)
    return list(new.values())


def _contents(path: Path, size: int) -> bytes | None:
    """Return a file's bytes; None if it has another size or is none."""
    try:
        return read_file(path, size)
    except UserError:
        return None
