"""Records that nobody should trust: each is one error that names the file and the key, and none is read for ever."""

import copy
import csv
import io
import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.records import coco_metrics, davis_metrics, record

from flsl.runtime.errors import UserError
from flsl.runtime.text import printable
from results.__main__ import main
from results.bootstrap import percentile_interval
from results.commands.show import flatten
from results.leaderboard import build_leaderboard, to_csv
from results.leaderboard_page import leaderboard_page
from results.published import read_published
from results.record import Metric, Record
from results.render import to_html, to_markdown
from results.render_tex import to_tex
from results.report import report_data, report_page
from results.reproduce import Step
from results.schema import record_to_json, record_to_plain
from results.store import check_record, store_path, write_record
from results.tables import build_table
from results.terminal import print_leaderboard, print_rows

PUBLISHED = read_published()
BIG = 10**400
DEEP = "[" * 500 + "]" * 500


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A valid record as plain values."""
    folder = tmp_path_factory.mktemp("valid")
    return json.loads(write_record(record(files={"config": "config.py"}), folder / "record.json").read_bytes())


def put(*keys):
    """Return a change of a record: the last of `keys` is the value, the others lead to where it goes."""
    *way, last, value = keys

    def change(plain):
        for key in way:
            plain = plain[key]
        plain[last] = value

    return change


def interval(low, high):
    return put("metrics", "J&F", "interval", {"low": low, "high": high, "units": 30})


EDITS = {
    # numbers
    "seed of 400 digits": (put("seed", BIG), ["seed must be below"]),
    "negative seed of 400 digits": (put("seed", -BIG), ["seed must be at least"]),
    "seed of a section": (put("seeds", {"split": BIG}), ["seeds.split must be below"]),
    "float of 400 digits": (put("timing", "wall_seconds", BIG), ["timing.wall_seconds must be a finite number"]),
    "score of 400 digits": (put("metrics", "J", "value", BIG), ["metrics.J.value must be a finite number"]),
    "parameters of 400 digits": (put("model", "parameters", BIG), ["model.parameters must be at most"]),
    "items of 400 digits": (put("dataset", "items_expected", BIG), ["dataset.items_expected must be at most"]),
    "recipe with 400 digits": (put("config", "radius", BIG), ["config", "radius", "64 bits"]),
    "environment with 400 digits": (put("environment", "a", [{"b": BIG}]), ["environment", "a[0].b", "64 bits"]),
    "code with 400 digits": (put("code", "dirty", -BIG), ["code", "dirty", "64 bits"]),
    "pretraining with 400 digits": (put("model", "pretraining", "epochs", BIG), ["model.pretraining", "epochs"]),
    "infinity in the environment": (put("environment", "a", float("inf")), ["environment", "infinite"]),
    "NaN in the recipe": (put("config", "a", {"b": float("nan")}), ["config", "a.b", "NaN"]),
    "NaN score": (put("metrics", "J", "value", float("nan")), ["metrics.J.value must be a finite number"]),
    "NaN of one item": (put("per_item", "dog", "J", float("nan")), ["per_item.dog.J must be a finite number"]),
    "negative time": (put("timing", "phases", {"a": -1.0}), ["timing.phases.a must be at least 0"]),
    "negative items": (put("dataset", "items_evaluated", -1), ["dataset.items_evaluated must be at least 0"]),
    # scores
    "score above 100": (put("metrics", "J", "value", 100.1), ["J is 100.1", "0..100"]),
    "score below 0": (put("metrics", "F", "value", -1.0), ["F is -1", "0..100"]),
    "J&F is no mean": (put("metrics", "J&F", "value", 60.5), ["J&F is 60.5", "(J + F) / 2 is 62"]),
    "unit of nobody": (put("metrics", "J", "unit", "shares"), ["metrics.J.unit must be one of"]),
    "wrong unit": (put("metrics", "J", "unit", "percentage points"), ["metrics.J.unit", "declares 'percent'"]),
    "wrong direction": (
        put("metrics", "J", "higher_is_better", False),
        ["metrics.J.higher_is_better", "declares True"],
    ),
    "item above 100": (put("per_item", "dog", "J", 101.0), ["per_item.dog.J is 101", "0..100 percent"]),
    "item below 0": (put("per_item", "dog", "F", -0.5), ["per_item.dog.F is -0.5", "0..100 percent"]),
    "many items above 100": (put("per_item", {f"i{i}": {"J": 200.0} for i in range(9)}), ["i4.J is 200", "and 4 more"]),
    "item's score is text": (put("per_item", "dog", "J", "60"), ["per_item.dog.J must be a number"]),
    "item is a number": (put("per_item", "dog", 60.0), ["per_item.dog must be a section"]),
    "interval above its value": (interval(63.0, 64.0), ["J&F is 62", "outside its own interval (63 to 64)"]),
    "interval below its value": (interval(60.0, 61.9), ["J&F is 62", "outside its own interval (60 to 61.9)"]),
    "interval turned around": (interval(64.0, 60.0), ["interval of J&F", "low 64 above high 60"]),
    "interval beyond 100": (interval(60.0, 101.0), ["a bound of the interval", "101"]),
    "interval of infinity": (interval(60.0, float("inf")), ["metrics.J&F.interval.high must be a finite number"]),
    "interval without a value": (put("metrics", "J", {"value": None, "interval": {"low": 1, "high": 2}}), ["no value"]),
    "confidence of 1": (
        put("metrics", "J&F", "interval", {"low": 61, "high": 63, "confidence": 1}),
        ["confidence", "below 1"],
    ),
    "no units": (put("metrics", "J&F", "interval", {"low": 61, "high": 63, "units": 0}), ["units must be at least 1"]),
    "headline of nobody": (put("headline", "K"), ["headline 'K'"]),
    "metric of nobody": (put("metrics", "JF", {"value": 1.0}), ["metrics.JF is not a known metric"]),
    # names, paths and kinds
    "empty name": (put("model", "name", ""), ["model.name is empty"]),
    "protocol without version": (put("protocol", "davis2017/dino"), ["protocol is 'davis2017/dino'"]),
    "protocol with a line end": (put("protocol", "davis2017/dino@1\n"), ["protocol is 'davis2017/dino@1\\n'"]),
    "protocol that leads away": (put("protocol", "../../x@1"), ["protocol is '../../x@1'"]),
    "file that leads away": (put("files", {"a": "../b"}), ["files.a is '../b'", "inside its folder"]),
    "absolute file": (put("files", {"a": "/etc/passwd"}), ["files.a is '/etc/passwd'", "relative"]),
    "file by backslashes": (put("files", {"a": "..\\b"}), ["files.a", "inside its folder"]),
    "file on a drive": (put("files", {"a": "C:b"}), ["files.a is 'C:b'", "relative"]),
    "file without a name": (put("files", {"a": ""}), ["files.a is ''"]),
    "file with a zero": (put("files", {"a": "b\0.png"}), ["files.a is 'b\\x00.png'"]),
    "file of 300 characters": (put("files", {"a": "b" * 300}), ["files.a"]),
    "file is a number": (put("files", {"a": 3}), ["files.a must be text"]),
    "time of nowhere": (put("created", "2024-13-01"), ["created is '2024-13-01'", "ISO 8601"]),
    "edited recipe": (put("config", "radius", 13), ["config_sha256 is not the hash"]),
    "recipe is a list": (put("config", []), ["config must be a section"]),
    "warnings are text": (put("warnings", "none"), ["warnings must be a list"]),
    "partial but called complete": (put("dataset", "items_evaluated", 3), ["only 3 of 30", "'partial'"]),
    "version of tomorrow": (put("schema_version", 3), ["schema_version is 3", "1 to 2"]),
    "version of 400 digits": (put("schema_version", BIG), ["schema_version"]),
    "version is true": (put("schema_version", True), ["schema_version is True"]),
    "version is text": (put("schema_version", "2"), ["schema_version is '2'"]),
    "unknown key with an escape": (put("\x1b[2J", 1), ["\\x1b[2J is not a known key"]),
    "no metrics": (put("metrics", {}), ["headline 'J&F'"]),
    "model is null": (put("model", None), ["model must be a section"]),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_record_that_cannot_be_is_refused_by_its_key(plain, refused, tmp_path, case):
    change, words = EDITS[case]
    edited = copy.deepcopy(plain)
    change(edited)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(edited))
    refused("results", ["show", path], ["record.json is not valid", *words])


RAW = {
    "nothing": b"",
    "half of it": b'{"model": {"name": "a"',
    "zeros": bytes(100),
    "a picture": b"\x89PNG\r\n\x1a\n",
    "another encoding": '{"a": "\u00e9"}'.encode("latin-1"),
    "a surrogate": b'{"command": "\\ud800"}',
    "a surrogate as a key": b'{"\\udfff": 1}',
    "a surrogate in bytes": b'{"command": "\xed\xa0\x80"}',
    "digits without end": b'{"seed": ' + b"9" * 100_000 + b"}",
    "a float beyond floats": b'{"timing": {"wall_seconds": 1e999}}',
    "depth": DEEP.encode(),
    "depth in a section": b'{"schema_version": 1, "config": ' + DEEP.encode() + b"}",
    "text": b'"record"',
    "null": b"null",
    "a list": b"[{}]",
    "two documents": b"{}{}",
    "an older version of nothing": b'{"schema_version": 1}',
    "an older version with a list": b'{"schema_version": 1, "config": []}',
}


@pytest.mark.parametrize("case", RAW)
def test_bytes_that_are_no_record_are_refused(refused, tmp_path, case):
    path = tmp_path / "record.json"
    path.write_bytes(RAW[case])
    refused("results", ["show", path], [str(path), "is not valid", "Get it again, or remove it."])


def _socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # the address of a socket is short
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir(here)


def _huge(path):
    with open(path, "wb") as file:
        file.truncate((64 << 20) + 1)  # takes no room on the disk


KINDS = {
    "a named pipe": (os.mkfifo, "it is a named pipe, not a file"),
    "a socket": (_socket, "it is a socket, not a file"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "a link to a terminal": (lambda path: path.symlink_to("/dev/tty"), "cannot be read"),
    "a folder": (lambda path: path.mkdir(), "it is a folder, not a file"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "symbolic links"),
    "a link to a folder": (lambda path: path.symlink_to("."), "it is a folder, not a file"),
    "64 MiB and more": (_huge, "more than the 64 MiB that it may have"),
    "an endless text": (lambda path: path.symlink_to("/proc/self/mountinfo"), "is not valid"),
}


@pytest.mark.parametrize("case", KINDS)
@pytest.mark.timeout(30)
def test_what_is_no_file_is_named_and_not_read(refused, tmp_path, capsys, case):
    make, words = KINDS[case]
    make(tmp_path / "record.json")
    refused("results", ["leaderboard", "--records", tmp_path, "--out", tmp_path / "l.csv"], ["record.json", words])
    write_record(record(), tmp_path / "run" / "record.json")
    assert main(["validate", "--records", str(tmp_path)]) == 2  # the others are read all the same
    out, err = capsys.readouterr()
    assert out == "1 valid, 1 broken\n"
    assert words in err


COMMANDS = {
    "a name of 300 characters": (["list", "--records", "a" * 300], ["does not exist"]),
    "a zero": (["list", "--records", "a\0b"], ["does not exist", "a\\x00b"]),
    "an escape": (["list", "--records", "a\x1b[31mb"], ["a\\x1b[31mb does not exist"]),
    "half a character": (["list", "--records", "a\udcffb"], ["a\\udcffb does not exist"]),
    "show 300 characters": (["show", "a" * 300], ["does not exist"]),
    "import 300 characters": (["import", "a" * 300, "--store", "s"], ["aaa: File name too long"]),
    "compare 300 characters": (["compare", "a" * 300, "b"], ["aaa: File name too long"]),
    "negative seed": (["compare", "a", "b", "--seed", "-1"], ["--seed is -1"]),
    "no resamples": (["compare", "a", "b", "--resamples", "0"], ["--resamples is 0", "100"]),
    "resamples without end": (["compare", "a", "b", "--resamples", str(10**12)], ["--resamples", "1000000"]),
    "published figures from a device": (["published", "--file", "/dev/zero"], ["/dev/zero", "it is a device"]),
    "published figures from a folder": (["published", "--file", "."], ["it is a folder"]),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_clumsy_arguments_are_refused(refused, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    refused("results", *COMMANDS[case])


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"a,b\n", b'"' + b"x" * 200_000, b"\x00"])
def test_published_figures_that_are_no_table_are_refused(refused, tmp_path, text):
    (tmp_path / "p.csv").write_bytes(text)
    refused("results", ["published", "--file", tmp_path / "p.csv"], ["p.csv"])


def test_what_is_checked_on_reading_is_checked_before_writing(tmp_path):
    for change in ({"config": {"a": BIG}}, {"environment": {"a": float("inf")}}, {"command": "\ud800"}, {"seed": BIG}):
        with pytest.raises(UserError, match=r"record.json was not written"):
            write_record(record(**change), tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []


def test_items_of_boxes_have_the_unit_of_boxes_and_decays_may_be_negative(tmp_path):
    coco = {"benchmark": "coco", "protocol": "coco/mask-rcnn_1x@1", "metrics": coco_metrics()}
    with pytest.raises(UserError, match=r"per_item.cat.AP is 120, outside 0..100 percent"):
        write_record(record(per_item={"cat": {"AP": 120.0}}, **coco), tmp_path / "record.json")
    decays = davis_metrics() | {"J_decay": Metric(-3.0, "percentage points", higher_is_better=False)}
    written = write_record(record(metrics=decays, per_item={"dog": {"J_decay": -40.0}}), tmp_path / "record.json")
    assert written.exists()
    with pytest.raises(UserError, match=r"outside -100..100 percentage points"):
        write_record(record(metrics=decays, per_item={"dog": {"J_decay": -140.0}}), tmp_path / "record.json")


def test_a_result_is_never_lost_to_its_own_interval():
    """A skewed statistic of few rows can leave its own value out; the interval then reaches as far."""
    highest = percentile_interval(range(3), lambda rows: float(len(set(rows.tolist())) == 3), unit="images")
    assert highest.low <= 1.0 <= highest.high
    spread = percentile_interval(list(range(12)), lambda rows: float(len(set(rows.tolist()))), unit="images")
    assert spread.high == 12.0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([BIG, -BIG, 2**63, 10**18])
    | st.floats() | st.text(st.characters(exclude_categories=[])) | st.sampled_from(["=cmd", "\x1b[2J", "[a](b)", "<b>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(plain, way=()):
    """Yield the keys that lead to every value of a record."""
    for key in plain if isinstance(plain, dict) else range(len(plain)):
        yield (*way, key)
        if isinstance(plain[key], (dict, list)):
            yield from places(plain[key], (*way, key))


def read(document):
    """Read a document as a record; None if it is refused as it should be."""
    try:
        found = check_record(json.dumps(document).encode(), "record.json")
    except UserError:
        return None
    assert isinstance(found, Record)
    return found


GENTLE = settings(max_examples=60, deadline=5000, derandomize=True, suppress_health_check=list(HealthCheck))


@GENTLE
@given(document=values)
def test_any_document_is_a_record_or_an_error(document):
    read(document)


@GENTLE
@given(data=st.data())
def test_a_record_with_anything_anywhere_is_a_record_or_an_error(plain, data):
    document = copy.deepcopy(plain)
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(list(places(document))))
        put(*way, last, data.draw(values))(document)
    read(document)


def is_clean(text):
    """Tell whether a text of many lines holds nothing that a terminal would obey or hide."""
    return all(printable(line) == line for line in text.split("\n"))


HOSTILE = st.sampled_from(
    ["=cmd()", "\x1b[2J\r\n", "[a](http://b)", "<b>", "a|b", "\u202eabc", "\\", "$&%#{", "🙂", "\x9b1m"]
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).map("a{}".format) | HOSTILE
free = st.dictionaries(names, st.recursive(names | st.integers(-9, 9) | st.none(), st.lists, max_leaves=3), max_size=2)


@GENTLE
@given(texts=st.lists(names, min_size=9, max_size=9), sections=st.lists(free, min_size=4, max_size=4))
def test_whatever_is_read_can_be_shown(texts, sections, capsys):
    name, method, architecture, dataset, split, item, command, warning, key = texts
    pretraining, config, environment, code = sections
    environment |= {"packages": [*environment.values()], "gpus": config}
    found = record(
        **{"name": name, "method": method, "architecture": architecture, "split": split, "item": item},
        **{"command": command, "warnings": [warning], "per_item": {key: {key: 1.0}}, "files": {key: "a.png"}},
        **{"config": config, "environment": environment, "code": code},
        pretraining=pretraining | {"epochs": pretraining},
        benchmark=dataset if texts[0] < texts[1] else "davis2017",
    )
    found = read(record_to_plain(found))
    assert found is not None
    assert read(json.loads(record_to_json(found))) == found
    path = store_path(found)
    assert not path.is_absolute()
    assert ".." not in path.parts
    board = build_leaderboard({Path("record.json"): found})
    assert len(list(csv.reader(io.StringIO(to_csv(board.rows))))) == 2
    leaderboard_page(board, PUBLISHED)
    tables = [build_table("davis", board.rows, PUBLISHED)]
    for write in (to_markdown, to_html, to_tex):
        assert is_clean(write(tables))
    step = Step("davis", "skip", "", record=Path("nowhere/record.json"))
    page = report_page(report_data(record_to_plain(found.model), [step], [], {step.record: found}, [], 2))
    assert is_clean(page)
    print_leaderboard(board.rows)
    print_rows(("key", "value"), list(flatten(record_to_plain(found))))
    assert is_clean(capsys.readouterr().out)


@GENTLE
@given(text=st.binary(max_size=200))
def test_any_bytes_are_an_error(text):
    with pytest.raises(UserError, match=r"record.json is not valid"):
        check_record(text, "record.json")
