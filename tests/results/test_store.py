"""Records on disk: round trips, refusals that name the key, older versions, folders with broken files."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from flsl.runtime.errors import UserError
from results.record import SCHEMA_VERSION, Dataset, Interval, Metric
from results.store import find_records, load_records, read_record, store_path, write_record

GOLDEN = Path(__file__).parent / "golden"


def test_round_trip_keeps_every_field(make_record, tmp_path):
    record = make_record(seeds={"pretraining": 3}, warnings=["one"], files={"masks": "masks"})
    path = write_record(record, tmp_path / "run" / "record.json")
    back = read_record(path)
    assert dataclasses.replace(back, config_sha256="") == record
    assert len(back.config_sha256) == 64


def test_same_record_gives_same_bytes_whatever_the_order_of_its_keys(make_record, tmp_path):
    record = make_record()
    turned = dataclasses.replace(record, metrics=dict(reversed(record.metrics.items())))
    first = write_record(record, tmp_path / "a.json").read_bytes()
    assert write_record(turned, tmp_path / "b.json").read_bytes() == first
    assert write_record(read_record(tmp_path / "a.json"), tmp_path / "c.json").read_bytes() == first


def test_numpy_scalars_tuples_and_paths_become_plain(make_record, tmp_path):
    metrics = {"AP": Metric(np.float32(12.5))}
    config = {"sizes": (480, np.int64(800)), "base": Path("configs/x.py")}
    record = make_record(metrics=metrics, benchmark="uavdt", protocol="uavdt/official@1", config=config)
    back = read_record(write_record(record, tmp_path / "record.json"))
    assert back.metrics["AP"].value == 12.5
    assert back.config == {"sizes": [480, 800], "base": "configs/x.py"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metrics": {"AP": Metric(math.nan)}}, ["metrics.AP.value", "nan"]),
        ({"metrics": {"AP": Metric(math.inf)}}, ["metrics.AP.value", "inf"]),
        ({"metrics": {"AP": Metric(100.2)}}, ["AP is 100.2", "0..100"]),
        ({"metrics": {"AP": Metric(-0.1)}}, ["AP is -0.1"]),
        ({"metrics": {"AP": Metric(30.0), "AP50": Metric(29.0)}}, ["AP is 30", "AP50"]),
        ({"metrics": {"box_AP50": Metric(30.0), "box_AP75": Metric(31.0)}}, ["box_AP75 is 31", "box_AP50"]),
        ({"metrics": {"J&F": Metric(60.1), "J": Metric(59.0), "F": Metric(61.0)}}, ["(J + F) / 2 is 60"]),
        (
            {
                "benchmark": "ytvos2018",
                "protocol": "ytvos2018/dino@1",
                "headline": "G",
                "metrics": dict(
                    zip(("G", "J_seen", "J_unseen", "F_seen", "F_unseen"), map(Metric, (50.1, 40.0, 50.0, 50.0, 60.0)))
                ),
            },
            ["G is 50.1, but the mean of J_seen, J_unseen, F_seen, F_unseen is 50"],
        ),
        ({"metrics": {"AP": Metric(3.0, interval=Interval(4.0, 2.0))}}, ["interval of AP", "low 4"]),
        ({"metrics": {"AP": Metric(3.0, interval=Interval(-4.0, 2.0))}}, ["interval", "-4"]),
        ({"metrics": {"AP": Metric(None)}}, ["headline", "no value"]),
        ({"headline": "JF"}, ["headline 'JF'", "Did you mean 'J&F'"]),
        ({"items_evaluated": 29}, ["29 of 30", "'partial'"]),
        ({"items_evaluated": 31}, ["31", "more than"]),
        ({"items_expected": 40, "items_evaluated": 40}, ["interval of J&F is over 30 sequences", "is 40"]),
        (
            {"config": {"protocol": {"name": "videowalk", "version": 3}}},
            ["constants in config are those of 'videowalk@3'"],
        ),
        ({"items_expected": 0, "items_evaluated": 0}, ["at least one"]),
        ({"protocol": "davis2017/dino"}, ["protocol", "davis2017/dino@1"]),
        ({"name": " "}, ["model.name is empty"]),
        ({"status": "done"}, ["status", "complete"]),
        ({"seed": 0.5}, ["seed must be a whole number"]),
        ({"seed": True}, ["seed must be a whole number"]),
        ({"official": "yes"}, ["dataset.official must be true or false"]),
        ({"config": {"a": {"b": object()}}}, ["config.a.b"]),
        ({"config": {1: "x", "1": "y"}}, ["two keys"]),
        ({"config_sha256": "00"}, ["config_sha256 is not the hash"]),
        ({"files": {"masks": "/tmp/masks"}}, ["files.masks", "relative"]),
        ({"files": {"masks": "../masks"}}, ["files.masks", "inside"]),
        ({"created": "yesterday"}, ["created", "ISO 8601"]),
        ({"per_item": {"dog": {"J": math.nan}}}, ["per_item.dog.J"]),
    ],
)
def test_impossible_records_are_not_written(make_record, tmp_path, change, words):
    path = tmp_path / "record.json"
    with pytest.raises(UserError) as caught:
        write_record(make_record(**change), path)
    for word in ["record.json was not written", *words]:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", ["partial", "failed"])
def test_partial_and_failed_records_are_written_as_such(make_record, tmp_path, status):
    record = make_record(items_evaluated=3, status=status)
    assert read_record(write_record(record, tmp_path / "record.json")).status == status


def test_decay_may_be_negative_and_undefined_scores_are_null(make_record, tmp_path, davis_scores):
    decay = Metric(-3.0, "percentage points", higher_is_better=False)
    metrics = davis_scores() | {"J_decay": decay, "F_recall": Metric(None)}
    back = read_record(write_record(make_record(metrics=metrics), tmp_path / "record.json"))
    assert back.metrics["J_decay"].value == -3.0
    assert back.metrics["F_recall"].value is None
    impossible = metrics | {"J_decay": Metric(-101.0, "percentage points", higher_is_better=False)}
    with pytest.raises(UserError, match=r"J_decay is -101, outside -100..100 percentage points"):
        write_record(make_record(metrics=impossible), tmp_path / "record.json")


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"J_rec": Metric(50.0)}, ["metrics.J_rec is not a known metric of davis2017/dino@1", "'J_recall'"]),
        ({"F_recall": Metric(50.0, "percentage points")}, ["metrics.F_recall.unit", "declares 'percent'"]),
        ({"F_recall": Metric(50.0, higher_is_better=False)}, ["metrics.F_recall.higher_is_better", "declares True"]),
    ],
)
def test_what_a_benchmark_does_not_declare_is_refused(make_record, davis_scores, tmp_path, edit_record, metric, words):
    with pytest.raises(UserError) as caught:
        write_record(make_record(metrics=davis_scores() | metric), tmp_path / "record.json")
    assert all(word in str(caught.value) for word in words)
    other = make_record(benchmark="theirs", metrics=davis_scores() | metric)  # nothing is known of this benchmark
    path = write_record(other, tmp_path / "other.json")
    assert read_record(path).metrics.keys() == other.metrics.keys()
    edit_record(path, lambda plain: plain.update(benchmark="davis2017"))
    with pytest.raises(UserError) as caught:
        read_record(path)
    assert all(word in str(caught.value) for word in words)


def test_a_protocol_that_its_benchmark_does_not_have_is_refused(make_record, tmp_path):
    metrics = {"AP": Metric(50.0)}
    with pytest.raises(UserError, match="Did you mean 'uavdt/official'"):
        write_record(make_record(benchmark="uavdt", protocol="uavdt/offical@1", metrics=metrics), tmp_path / "r.json")


def _remove(key):
    return lambda plain: plain.pop(key)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plain: plain.update(protocl="x"), ["protocl", "Did you mean 'protocol'"]),
        (lambda plain: plain["dataset"].update(splt="x"), ["dataset", "splt", "'split'"]),
        (_remove("benchmark"), ["lacks the key 'benchmark'"]),
        (lambda plain: plain["metrics"]["J"].update(value="60"), ["metrics.J.value", "'60'"]),
        (lambda plain: plain["model"].update(parameters=1.5), ["model.parameters"]),
        (lambda plain: plain["model"].update(parameters=-1), ["model.parameters must be at least 0", "-1"]),
        (lambda plain: plain["timing"].update(wall_seconds=-1.0), ["timing.wall_seconds must be at least 0"]),
        (lambda plain: plain["metrics"]["J&F"]["interval"].update(confidence=95), ["interval.confidence", "below 1"]),
        (lambda plain: plain["environment"].update(python=float("nan")), ["NaN"]),
        (lambda plain: plain.update(seed="0", headline=3), ["seed must be a whole number", "headline must be text"]),
        (lambda plain: plain.update(warnings="none"), ["warnings must be a list"]),
        (lambda plain: plain["config"].update(radius=13), ["config_sha256"]),
        (lambda plain: plain["dataset"].update(items_evaluated=12), ["12 of 30"]),
        (lambda plain: plain.update(schema_version=SCHEMA_VERSION + 1), ["schema_version", "newer"]),
    ],
)
def test_edited_records_are_refused_on_reading(make_record, tmp_path, edit_record, change, words):
    path = edit_record(write_record(make_record(), tmp_path / "record.json"), change)
    with pytest.raises(UserError) as caught:
        read_record(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"seed": NaN}', "\x00", "[" * 100_000])
def test_files_that_are_no_record_are_named(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"record\.json"):
        read_record(path)


def test_records_are_found_at_any_depth_and_broken_ones_do_not_stop_the_rest(make_record, tmp_path):
    for place in ("a/record.json", "a/b/record_coco.json", ".hidden/record.json"):
        write_record(make_record(), tmp_path / place)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "record.json").write_text("{")
    (tmp_path / "a" / "metrics.json").write_text("{}")
    loaded = load_records([tmp_path, tmp_path / "a"])
    assert sorted(path.name for path in loaded.records) == ["record.json", "record_coco.json"]
    assert list(loaded.broken) == [tmp_path / "c" / "record.json"]
    assert str(tmp_path / "c" / "record.json") in loaded.broken[tmp_path / "c" / "record.json"]


def test_a_wrong_folder_and_an_empty_one_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        find_records(tmp_path / "nowhere" / "deep")
    with pytest.raises(UserError, match=r"no records in .*--out"):
        find_records(tmp_path)


def test_replace_false_never_overwrites(make_record, tmp_path):
    path = write_record(make_record(seed=1), tmp_path / "record.json", replace=False)
    with pytest.raises(UserError, match="exists already"):
        write_record(make_record(seed=2), path, replace=False)
    assert read_record(path).seed == 1
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_disk_that_refuses_is_an_error_of_the_users(make_record, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_record(make_record(), tmp_path / "file" / "record.json")


def test_store_paths_keep_units_apart_and_stay_inside(make_record):
    changes = [
        {},
        {"seed": 1},
        {"name": "other"},
        {"fingerprint": "cd" * 32},
        {"protocol": "davis2017/dino@2"},
        {"annotation_sha256": "ef" * 32},
        {"train_sha256": "ef" * 32},
        {"config_sha256": "12345678"},
        {"name": "../../etc"},
        {"name": ".."},
    ]
    records = [make_record(**change) for change in changes]
    records += [  # two parts of one data set
        dataclasses.replace(records[0], status="partial", per_item={video: {"J&F": 50.0}}) for video in ("boat", "surf")
    ]
    paths = [store_path(record) for record in records]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert path.name == "record.json"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_records_of_every_schema_version_still_load(path, tmp_path):
    record = read_record(path)
    assert record.schema_version == SCHEMA_VERSION
    assert record.headline in record.metrics
    assert record.dataset == Dataset("synthetic-davis", "val", False, 4, 4, "sequences", "ef" * 32)
    assert record.metrics["J&F"].interval.low == 50.5
    assert read_record(write_record(record, tmp_path / "record.json")) == record


def test_there_is_a_golden_file_of_each_schema_version():
    versions = {json.loads(path.read_text())["schema_version"] for path in GOLDEN.glob("*.json")}
    assert versions == set(range(1, SCHEMA_VERSION + 1))
