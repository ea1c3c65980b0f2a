"""Bundles from strangers: only records at their places, what they name, and reports come in, and nothing without limit."""

import hashlib
import io
import json
import os
import stat
import struct
import zipfile

import pytest
from support.records import record

from results import bundle
from results.__main__ import main
from results.report import _picture
from results.store import read_record, write_record


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """The files of an honest bundle by name."""
    folder = tmp_path_factory.mktemp("honest")
    path = write_record(record(files={"config": "config.py", "overlay": "overlay.png"}), folder / "run" / "record.json")
    (path.parent / "config.py").write_text("radius = 12\n")
    (path.parent / "overlay.png").write_bytes(b"\x89PNG")
    (folder / "page.html").write_text("<p>")
    bundle.write_bundle({path: read_record(path)}, folder / "b.zip", [folder / "page.html"])
    with zipfile.ZipFile(folder / "b.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != bundle.MANIFEST}


def pack(path, entries, *, manifest=None, **options):
    """Write a bundle of any (name, bytes) with a manifest that fits it; names may come twice."""
    entries = list(entries.items() if isinstance(entries, dict) else entries)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in entries}
    text = json.dumps({"bundle_version": 1, "records": 1, "sha256": hashes}) if manifest is None else manifest
    with zipfile.ZipFile(path, "w", **{"compression": zipfile.ZIP_DEFLATED} | options) as archive:
        for name, data in [(bundle.MANIFEST, text), *entries]:
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: the constructor would make it harmless
            archive.writestr(info, data, archive.compression)


def place(honest):
    return next(name for name in honest if name.endswith("record.json"))


def beside(honest, name):
    return place(honest).replace("record.json", name)


def with_record(honest, change):
    """Return the files with the record changed by `change(plain)`, at the place that it had."""
    plain = json.loads(honest[place(honest)])
    change(plain)
    return honest | {place(honest): json.dumps(plain).encode()}


def named(honest, name, data=b"x"):
    """Return the files with one more, which the record names."""
    return with_record(honest, lambda plain: plain["files"].update(more=name)) | {beside(honest, name): data}


ADDED = {
    # what leads out of the store, or nowhere
    "upwards": (lambda h: h | {"../out.csv": b""}, ["'../out.csv'", "leads to another folder", "outside the store"]),
    "upwards from inside": (lambda h: h | {"reports/../../out.csv": b""}, ["leads to another folder"]),
    "absolute": (lambda h: h | {"/tmp/out.csv": b""}, ["'/tmp/out.csv'", "it is absolute"]),
    "of another system": (lambda h: h | {"..\\out.csv": b""}, ["leads to another folder"]),
    "on a drive": (lambda h: h | {"C:out.csv": b""}, ["it is absolute"]),
    "a dot": (lambda h: h | {"reports/./out.csv": b""}, ["leads to another folder"]),
    "a part without a name": (lambda h: h | {"reports//out.csv": b""}, ["a part of it is empty"]),
    "a folder": (lambda h: h | {"reports/": b""}, ["a part of it is empty"]),
    "a name of 300 characters": (lambda h: h | {f"reports/{'a' * 300}.csv": b""}, ["longer than 255 bytes"]),
    "an escape": (lambda h: h | {"reports/\x1b[2J.csv": b""}, ["control characters"]),
    "a line end": (lambda h: h | {"reports/a\n.csv": b""}, ["control characters"]),
    # what is no record and belongs to none
    "a script in the store": (lambda h: h | {"run.sh": b""}, ["'run.sh'", "no record beside it names it"]),
    "a script in the reports": (lambda h: h | {"reports/run.sh": b""}, ["'reports/run.sh'", "types .csv"]),
    "a program in the reports": (lambda h: h | {"reports/run.py": b""}, ["'reports/run.py'", "types .csv"]),
    "a report in a folder": (lambda h: h | {"reports/a/b.csv": b""}, ["'reports/a/b.csv'"]),
    "a hidden report": (lambda h: h | {"reports/.a.csv": b""}, ["'reports/.a.csv'", "it is hidden"]),
    "a record among the reports": (lambda h: h | {"reports/record_a.json": b"{}"}, ["its name is that of a record"]),
    "what no record names": (lambda h: h | {beside(h, "b.png"): b""}, ["b.png'", "no record beside it names it"]),
    "a program that no record names": (lambda h: h | {"sitecustomize.py": b""}, ["'sitecustomize.py'"]),
    "git's settings": (lambda h: h | {".git/config": b""}, ["'.git/config'"]),
    # what a record names, and what still is none of its files
    "a script": (lambda h: named(h, "run.sh"), ["run.sh'", "types .csv"]),
    "a library": (lambda h: named(h, "a.so"), ["a.so'", "types .csv"]),
    "weights": (lambda h: named(h, "a.pth"), ["a.pth'", "types .csv"]),
    "without a type": (lambda h: named(h, "Makefile"), ["Makefile'", "types .csv"]),
    "hidden": (lambda h: named(h, ".a.py"), [".a.py'", "it is hidden"]),
    "in a hidden folder": (lambda h: named(h, ".a/b.py"), [".a/b.py'", "it is hidden"]),
    "another record": (lambda h: named(h, "record_b.json"), ["record_b.json'", "no record beside it names it"]),
    "a record in a folder": (lambda h: named(h, "a/record.json", b"{}"), ["a/record.json in", "is not valid"]),
    "a file in a file": (lambda h: named(h, "config.py/a.py"), ["config.py/a.py'", "what it lies in is a file"]),
    "a file in the record": (lambda h: named(h, "record.json/a.py"), ["record.json/a.py'"]),
    "upwards from a record": (lambda h: with_record(h, lambda p: p["files"].update(a="../b.py")), ["files.a"]),
    "5 MiB": (lambda h: named(h, "a.csv", bytes(5 << 20)), ["a.csv'", "up to 4 MiB"]),
    # records
    "a record that is none": (lambda h: h | {place(h): b"{}"}, ["is not valid", "lacks the keys"]),
    "a record of nothing": (lambda h: h | {place(h): b""}, ["is not valid"]),
    "an impossible record": (lambda h: with_record(h, lambda p: p.update(seed=10**400)), ["seed must be below"]),
    "a record elsewhere": (lambda h: {"a/record.json": h[place(h)]}, ["has a record of", "at a/record.json"]),
    "a record at the top": (lambda h: {"record.json": h[place(h)]}, ["has a record of"]),
    "a record of another seed": (lambda h: with_record(h, lambda p: p.update(seed=1)), ["seed1/record.json at"]),
}  # fmt: skip


@pytest.mark.parametrize("case", ADDED)
def test_what_does_not_belong_into_a_bundle_is_not_imported(honest, refused, tmp_path, case):
    make, words = ADDED[case]
    pack(tmp_path / "b.zip", make(honest))
    refused("results", ["import", tmp_path / "b.zip", "--store", tmp_path / "store"], ["b.zip", *words])


def _twice(path, honest):
    with pytest.warns(UserWarning, match="Duplicate name"):
        pack(path, [*honest.items(), (place(honest), b"{}")])


def _bomb(path, honest):
    """One file of 65 MiB, packed into some 64 KiB."""
    pack(path, honest | {"reports/a.csv": bytes(65 << 20)})


def _say(path, size, said):
    """Make an archive say another size of the files of one size."""
    data = path.read_bytes()
    assert struct.pack("<L", size) in data
    path.write_bytes(data.replace(struct.pack("<L", size), struct.pack("<L", said)))


def _many_bombs(path, honest):
    """17 files that say they have 63 MiB each."""
    pack(path, honest | {f"reports/{i}.csv": bytes(54321) for i in range(17)})
    _say(path, 54321, 63 << 20)


def _lying_bomb(path, honest):
    """A file that says it has 10 bytes, and has 32 MiB."""
    pack(path, honest | {"reports/a.csv": bytes(32 << 20)})
    _say(path, 32 << 20, 10)


def _flip(path, honest):
    pack(path, honest, compression=zipfile.ZIP_STORED)
    data = path.read_bytes()
    assert data.count(b"radius = 12") == 1
    path.write_bytes(data.replace(b"radius = 12", b"radius = 13"))


def _encrypted(path, honest):
    pack(path, honest)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)


def _huge(path, honest):
    with open(path, "wb") as file:
        file.truncate((256 << 20) + 1)


def _manifest(text):
    return lambda path, honest: pack(path, honest, manifest=text)


ARCHIVES = {
    "a name twice": (_twice, ["record.json' twice"]),
    "a bomb": (_bomb, ["'reports/a.csv' unpacks to more than 64 MiB"]),
    "many bombs": (_many_bombs, ["unpacks to more than 1024 MiB"]),
    "a lying bomb": (_lying_bomb, ["is not a bundle", "damaged"]),
    "a changed byte": (_flip, ["is not a bundle", "CRC"]),
    "a password": (_encrypted, ["is not a bundle"]),
    "256 MiB and more": (_huge, ["more than the 256 MiB that it may have"]),
    "another packing": (lambda p, h: pack(p, h, compression=zipfile.ZIP_BZIP2), ["packed by a method"]),
    "yet another packing": (lambda p, h: pack(p, h, compression=zipfile.ZIP_LZMA), ["packed by a method"]),
    "no archive": (lambda p, h: p.write_bytes(b"text"), ["is not a bundle"]),
    "nothing": (lambda p, h: p.write_bytes(b""), ["is not a bundle"]),
    "an empty archive": (lambda p, h: zipfile.ZipFile(p, "w").close(), ["is not a bundle"]),
    "half of it": (lambda p, h: (pack(p, h), p.write_bytes(p.read_bytes()[:900])), ["is not a bundle"]),
    "no manifest": (_manifest(""), ["is not a bundle"]),
    "a manifest that is a list": (_manifest("[1]"), ["is not a bundle"]),
    "a manifest of depth": (_manifest("[" * 100_000), ["is not a bundle"]),
    "a manifest without hashes": (_manifest('{"bundle_version": 1}'), ["is not a bundle", "sha256"]),
    "hashes that are a number": (_manifest('{"bundle_version": 1, "sha256": 3}'), ["is not a bundle"]),
    "hashes of nothing": (_manifest('{"bundle_version": 1, "sha256": {}}'), ["the manifest does not list it"]),
    "a version of tomorrow": (_manifest('{"bundle_version": 2, "sha256": {}}'), ["is of version 2"]),
    "a missing file": (
        _manifest('{"bundle_version": 1, "sha256": {"../a": "00"}}'),
        ["../a: it is missing from the archive"],
    ),
    "a named pipe": (lambda p, h: os.mkfifo(p), ["it is a named pipe, not a file"]),
    "a device": (lambda p, h: p.symlink_to("/dev/zero"), ["it is a device, not a file"]),
}


@pytest.mark.parametrize("case", ARCHIVES)
@pytest.mark.timeout(60)
def test_an_archive_that_is_no_bundle_is_refused(honest, refused, tmp_path, case):
    make, words = ARCHIVES[case]
    make(tmp_path / "b.zip", honest)
    refused("results", ["import", tmp_path / "b.zip", "--store", tmp_path / "store"], ["b.zip", *words])


def test_honest_files_come_in_as_they_were_and_none_can_be_executed(honest, tmp_path, capsys):
    pack(tmp_path / "b.zip", honest)
    assert main(["import", str(tmp_path / "b.zip"), "--store", str(tmp_path / "store")]) == 0
    found = {str(p.relative_to(tmp_path / "store")): p for p in (tmp_path / "store").rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == honest
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o111 for path in found.values())


def test_a_link_in_an_archive_becomes_no_link(honest, tmp_path):
    pack(tmp_path / "b.zip", honest)
    data = (tmp_path / "b.zip").read_bytes()
    linked = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(linked, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            new.writestr(info, content)
    (tmp_path / "b.zip").write_bytes(linked.getvalue())
    bundle.store_entries(bundle.read_bundle(tmp_path / "b.zip"), tmp_path / "store")
    assert not any(path.is_symlink() for path in (tmp_path / "store").rglob("*"))


# What lies beside a record that names it as `more` -> how it gets there. None of it is packed.
BESIDE = {
    "a.txt": lambda path, secret: path.symlink_to(secret),
    "b.txt": lambda path, secret: path.symlink_to(os.path.relpath(secret, path.parent)),
    "c.txt": lambda path, secret: path.symlink_to("overlay.png"),
    "d.txt": lambda path, secret: path.symlink_to(path.name),
    "folder/secret.txt": lambda path, secret: path.parent.symlink_to(secret.parent),
    "e.txt": lambda path, secret: os.mkfifo(path),
    "f.txt": lambda path, secret: path.mkdir(),
    ".g.txt": lambda path, secret: path.write_text("secret"),
    "h.sh": lambda path, secret: path.write_text("secret"),
    "record_i.json": lambda path, secret: path.write_text("{}"),
    "j.csv": lambda path, secret: path.write_bytes(bytes((4 << 20) + 1)),
    "k.csv": lambda path, secret: None,
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.timeout(30)
def test_links_and_what_else_is_none_of_the_records_files_stay_at_home(tmp_path, capsys, name):
    secret = tmp_path / "home" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("secret")
    path = write_record(record(files={"more": name}), tmp_path / "runs" / "record.json")
    BESIDE[name](path.parent / name, secret)
    assert main(["bundle", "--records", str(path), "--out", str(tmp_path / "b.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert [name.rsplit("/")[-1] for name in archive.namelist()] == [bundle.MANIFEST, "record.json"]
    assert main(["import", str(tmp_path / "b.zip"), "--store", str(tmp_path / "store")]) == 0
    assert [found.name for found in (tmp_path / "store").rglob("*") if found.is_file()] == ["record.json"]


def _report(name, make):
    def prepare(folder):
        write_record(record(), folder / "runs" / "record.json")
        make(folder / name)
        return ["--reports", folder / name]

    return prepare


def _long(folder, **names):
    write_record(record(**names), folder / "runs" / "record.json")
    return []


PACKING = {
    "a script as a report": (_report("a.sh", lambda p: p.write_text("")), ["a.sh cannot be packed", "types .csv"]),
    "a program as a report": (_report("a.py", lambda p: p.write_text("")), ["a.py cannot be packed"]),
    "a hidden report": (_report(".a.md", lambda p: p.write_text("")), [".a.md cannot be packed: it is hidden"]),
    "a record as a report": (_report("record_a.json", lambda p: p.write_text("")), ["that of a record"]),
    "a named pipe as a report": (_report("a.md", os.mkfifo), ["a.md cannot be read: it is a named pipe"]),
    "a folder as a report": (_report("a.md", lambda p: p.mkdir()), ["a.md cannot be read: it is a folder"]),
    "a report that is not there": (_report("a.md", lambda p: None), ["a.md cannot be read", "No such file"]),
    "a broken record": (_report("runs/record_b.json", lambda p: p.write_text("{")), ["nothing was packed"]),
    "a model of 300 characters": (
        lambda folder: _long(folder, name="n" * 300),
        ["record.json has no place in a store", "255 bytes", "--name"],
    ),
    "a split of 300 characters": (
        lambda folder: _long(folder, split="名" * 100),
        ["record.json has no place in a store"],
    ),
}


@pytest.mark.parametrize("case", PACKING)
@pytest.mark.timeout(30)
def test_what_no_bundle_may_hold_is_not_packed(refused, tmp_path, case):
    prepare, words = PACKING[case]
    more = prepare(tmp_path)
    arguments = ["bundle", "--records", tmp_path / "runs", "--out", tmp_path / "b.zip", *more]
    refused("results", arguments, words)


STORES = {
    "is a file": (lambda store, name: store.write_text(""), ["store"]),
    "holds a pipe there": (
        lambda store, name: ((store / name).parent.mkdir(parents=True), os.mkfifo(store / name)),
        ["nothing was imported", "holds other contents"],
    ),
    "holds a folder there": (
        lambda store, name: (store / name).mkdir(parents=True),
        ["nothing was imported", "holds other contents"],
    ),
    "holds a link to nothing there": (
        lambda store, name: ((store / name).parent.mkdir(parents=True), (store / name).symlink_to("nowhere")),
        ["nothing was imported", "holds other contents"],
    ),
    "has a file for a folder": (
        lambda store, name: (store.mkdir(), (store / "davis2017").write_text("")),
        ["davis2017"],
    ),
}


@pytest.mark.parametrize("case", STORES)
@pytest.mark.timeout(30)
def test_a_store_that_cannot_take_it_stays_as_it_is(honest, refused, tmp_path, case):
    prepare, words = STORES[case]
    prepare(tmp_path / "store", place(honest))
    only = {name: data for name, data in honest.items() if not name.startswith("reports/")}
    pack(tmp_path / "b.zip", only)
    refused("results", ["import", tmp_path / "b.zip", "--store", tmp_path / "store"], words)


def test_a_picture_of_a_report_is_no_link(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.png").symlink_to(tmp_path / "secret")
    (tmp_path / "run" / "b.png").write_bytes(b"\x89PNG")
    assert _picture(tmp_path / "run" / "record.json", "a.png", "a") == ""
    assert "data:image/png" in _picture(tmp_path / "run" / "record.json", "b.png", "b")
