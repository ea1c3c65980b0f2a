"""Bundles and imports: what goes in, that any change is noticed, and that nothing is overwritten."""

import json
import random
import zipfile

import pytest

from results.store import load_records, read_record, write_record


@pytest.fixture
def runs(make_record, davis_scores, tmp_path):
    """Two runs with a recipe, a picture, predictions, weights and a picture outside SUFFIXES."""
    folder = tmp_path / "runs"
    files = {"config": "config.py", "overlay": "overlay.png", "predictions": "masks", "weights": "detector.pth"}
    for name, j in (("a", 60.0), ("b", 50.0)):
        run = folder / name
        write_record(make_record(name=name, files=files, metrics=davis_scores(j)), run / "record.json")
        (run / "config.py").write_text(f"name = {name!r}\n")
        (run / "overlay.png").write_bytes(b"\x89PNG" + bytes(100))
        (run / "detector.pth").write_bytes(bytes(1000))
        (run / "masks").mkdir()
        (run / "masks" / "00000.png").write_bytes(b"mask")
    return folder


def repack(source, target, change):
    """Copy a bundle, letting `change` edit the mapping of names to bytes."""
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target


def test_a_bundle_round_trip_keeps_records_recipes_and_reports_but_no_weights(runs, tmp_path, cli):
    report = tmp_path / "leaderboard.html"
    report.write_text("<p>")
    code, out, _ = cli("bundle", "--records", runs, "--out", tmp_path / "r.zip", "--reports", report)
    assert code == 0
    assert "2 records, 7 files" in out
    code, out, _ = cli("import", tmp_path / "r.zip", "--store", tmp_path / "store")
    assert (code, "2 new records, 7 new files" in out) == (0, True)
    original = {record.model.name: record for record in load_records(runs).records.values()}
    assert {r.model.name: r for r in load_records(tmp_path / "store").records.values()} == original
    names = sorted(path.name for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert names == sorted(["record.json", "config.py", "overlay.png"] * 2 + ["leaderboard.html"])
    assert cli("import", tmp_path / "r.zip", "--store", tmp_path / "store")[1].startswith("0 new records, 0 new files")


def test_the_same_records_give_the_same_archive(runs, tmp_path, cli):
    for name in ("1", "2"):
        cli("bundle", "--records", runs, "--out", tmp_path / f"{name}.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def _change_score(entries):
    name = next(name for name in entries if name.endswith("record.json"))
    entries[name] = entries[name].replace(b"60.0", b"61.0")


def _leave_out(entries):
    del entries[next(name for name in entries if name.endswith("config.py"))]


def _slip_in(entries):
    entries["davis2017/extra.py"] = b"print()"


def _escape(entries):
    manifest = json.loads(entries["MANIFEST.json"])
    name = next(name for name in entries if name.endswith("config.py"))
    entries["../outside.py"] = entries.pop(name)
    manifest["sha256"]["../outside.py"] = manifest["sha256"].pop(name)
    entries["MANIFEST.json"] = json.dumps(manifest).encode()


def _move_record(entries):
    import hashlib

    manifest = json.loads(entries["MANIFEST.json"])
    name = next(name for name in entries if name.endswith("record.json"))
    data = entries.pop(name)
    entries["elsewhere/record.json"] = data
    del manifest["sha256"][name]
    manifest["sha256"]["elsewhere/record.json"] = hashlib.sha256(data).hexdigest()
    entries["MANIFEST.json"] = json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_change_score, "record.json has another hash"),
        (_leave_out, "config.py: it is missing"),
        (_slip_in, "extra.py: the manifest does not list it"),
        (_escape, "outside the store"),
        (_move_record, "elsewhere/record.json"),
        (lambda entries: entries.pop("MANIFEST.json"), "is not a bundle"),
    ],
)
def test_a_changed_bundle_is_refused_whole(runs, tmp_path, cli, change, words):
    cli("bundle", "--records", runs, "--out", tmp_path / "r.zip")
    repack(tmp_path / "r.zip", tmp_path / "changed.zip", change)
    code, _, err = cli("import", tmp_path / "changed.zip", "--store", tmp_path / "store")
    assert code == 2
    assert words in err
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "outside.py").exists()


def test_damaged_bytes_are_always_noticed(runs, tmp_path, cli):
    cli("bundle", "--records", runs, "--out", tmp_path / "r.zip")
    data = (tmp_path / "r.zip").read_bytes()
    whole = cli("import", tmp_path / "r.zip", "--store", tmp_path / "whole")[0]
    assert whole == 0
    expected = load_records(tmp_path / "whole").records
    generator = random.Random(0)
    for attempt in range(60):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        (tmp_path / "d.zip").write_bytes(damaged)
        store = tmp_path / f"store{attempt}"
        code, _, err = cli("import", tmp_path / "d.zip", "--store", store)
        assert code in (0, 2), err
        if code == 0:  # a bit of the archive's own bookkeeping: contents must be right all the same
            assert list(load_records(store).records.values()) == list(expected.values())
        else:
            assert not store.exists()


def test_contradicting_records_are_refused_and_nothing_is_written(runs, make_record, davis_scores, tmp_path, cli):
    store = tmp_path / "store"
    assert cli("import", runs, "--store", store)[0] == 0
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    other = tmp_path / "other"
    write_record(make_record(name="a", metrics=davis_scores(99.0)), other / "a" / "record.json")
    write_record(make_record(name="new"), other / "new" / "record.json")
    code, _, err = cli("import", other, "--store", store)
    assert code == 2
    assert "nothing was imported" in err
    assert "record.json" in err
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_bundle_of_contradicting_records_is_refused(runs, make_record, davis_scores, tmp_path, cli):
    write_record(make_record(name="a", metrics=davis_scores(99.0)), runs / "again" / "record.json")
    code, _, err = cli("bundle", "--records", runs, "--out", tmp_path / "r.zip")
    assert code == 2
    assert "twice" in err
    assert not (tmp_path / "r.zip").exists()


def test_reports_of_one_name_are_called_so(runs, tmp_path, cli):
    reports = [tmp_path / name / "study.html" for name in "ab"]
    for report in reports:
        report.parent.mkdir()
        report.write_text(str(report))
    code, _, err = cli("bundle", "--records", runs, "--out", tmp_path / "r.zip", "--reports", *reports)
    assert (code, "two reports of one name" in err, "seed" in err) == (2, True, False)


def test_import_of_a_folder_reports_broken_records_and_takes_the_rest(runs, tmp_path, cli):
    (runs / "a" / "record_broken.json").write_text("{")
    code, out, err = cli("import", runs, "--store", tmp_path / "store")
    assert code == 0
    assert "2 new records" in out
    assert "record_broken.json" in err
    path = next((tmp_path / "store").rglob("record.json"))
    assert path.with_name("config.py").exists()
    assert read_record(path)
