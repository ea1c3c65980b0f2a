"""Names from other people's records in every output: shown as they are written, never computed, linked or obeyed."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.records import record

from flsl.runtime.text import printable
from results.__main__ import main
from results.escape import as_csv, as_html, as_markdown, as_tex
from results.store import write_record

ROOT = Path(__file__).resolve().parents[2]

# name of a model -> the same in CSV, Markdown and LaTeX
NAMES = {
    "=1+1": ("'=1+1", "=1+1", "=1+1"),
    "=HYPERLINK(\"http://a\")": ("'=HYPERLINK(\"http://a\")", "=HYPERLINK(\"http:\\//a\")", "=HYPERLINK(\"http://a\")"),
    "+1": ("'+1", "+1", "+1"),
    "-1": ("'-1", "-1", "-1"),
    "@SUM(A1)": ("'@SUM(A1)", "@SUM(A1)", "@SUM(A1)"),
    " =1": ("' =1", " =1", " =1"),
    "＝1": ("'＝1", "＝1", "＝1"),
    "\t=1": ("\\t=1", "\\\\t=1", r"\textbackslash{}t=1"),
    "\r=1": ("\\r=1", "\\\\r=1", r"\textbackslash{}r=1"),
    "\n=1": ("\\n=1", "\\\\n=1", r"\textbackslash{}n=1"),
    "a\nb": ("a\\nb", "a\\\\nb", r"a\textbackslash{}nb"),
    'a,"b"': ('a,"b"', 'a,"b"', 'a,"b"'),
    "\x1b[2Ja": ("\\x1b[2Ja", "\\\\x1b\\[2Ja", r"\textbackslash{}x1b{[}2Ja"),
    "\x9b31ma": ("\\x9b31ma", "\\\\x9b31ma", r"\textbackslash{}x9b31ma"),
    "a\x07\x08b": ("a\\x07\\x08b", "a\\\\x07\\\\x08b", r"a\textbackslash{}x07\textbackslash{}x08b"),
    "a\x00b": ("a\\x00b", "a\\\\x00b", r"a\textbackslash{}x00b"),
    "a\u202eb": ("a\\u202eb", "a\\\\u202eb", r"a\textbackslash{}u202eb"),
    "a\u2028b": ("a\\u2028b", "a\\\\u2028b", r"a\textbackslash{}u2028b"),
    "a\u200bb": ("a\\u200bb", "a\\\\u200bb", r"a\textbackslash{}u200bb"),
    "[a](http://b)": ("[a](http://b)", "\\[a\\](http:\\//b)", "{[}a](http://b)"),
    "![a](b.png)": ("![a](b.png)", "!\\[a\\](b.png)", "!{[}a](b.png)"),
    "https://a.b": ("https://a.b", "https:\\//a.b", "https://a.b"),
    "www.a.b": ("www.a.b", "www\\.a.b", "www.a.b"),
    "a | b": ("a | b", "a \\| b", r"a \textbar{} b"),
    "a \\| b": ("a \\| b", "a \\\\\\| b", r"a \textbackslash{}\textbar{} b"),
    "**a** _b_ `c` ~~d~~": (
        "**a** _b_ `c` ~~d~~",
        "\\*\\*a\\*\\* \\_b\\_ \\`c\\` \\~\\~d\\~\\~",
        r"{*}{*}a{*}{*} \_b\_ `c` \textasciitilde{}\textasciitilde{}d\textasciitilde{}\textasciitilde{}",
    ),
    "<script>a</script>": (
        "<script>a</script>",
        "&lt;script&gt;a&lt;/script&gt;",
        "$<$script$>$a$<$/script$>$",
    ),
    "<!-- a": ("<!-- a", "&lt;!-- a", "$<$!-- a"),
    "&lt;b&gt;": ("&lt;b&gt;", "&amp;lt;b&amp;gt;", r"\&lt;b\&gt;"),
    "\\input{/etc/passwd}": (
        "\\input{/etc/passwd}",
        "\\\\input{/etc/passwd}",
        r"\textbackslash{}input\{/etc/passwd\}",
    ),
    "a % $b$ #c ^d {e} & f": (
        "a % $b$ #c ^d {e} & f",
        "a % $b$ #c ^d {e} &amp; f",
        r"a \% \$b\$ \#c \textasciicircum{}d \{e\} \& f",
    ),
    "[1cm] a": ("[1cm] a", "\\[1cm\\] a", "{[}1cm] a"),
    "* a": ("* a", "\\* a", "{*} a"),
    "[red]a[/red]": ("[red]a[/red]", "\\[red\\]a\\[/red\\]", "{[}red]a{[}/red]"),
    "名前 ñ 🙂": ("名前 ñ 🙂", "名前 ñ 🙂", "名前 ñ 🙂"),
}  # fmt: skip


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def cli(capsys):
    """Run `python -m results ...`; returns its standard output."""

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 0
        out, err = capsys.readouterr()
        for text in (out, err):
            assert all(printable(line) == line for line in text.split("\n"))
        return out

    return run


class Texts(HTMLParser):
    """Collects a page's texts and tags."""

    def __init__(self):
        super().__init__()
        self.texts, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_a_name_is_text_in_every_output(name, tmp_path, cli):
    """As the model's name, its method, split and items: on the official data and beside it."""
    expected = dict(zip(("csv", "md", "tex"), NAMES[name]))
    texts = {"method": name, "split": name, "item": name, "command": name, "warnings": [name]}
    write_record(record(name=name, per_item={name: {"J": 1.0}}, **texts), tmp_path / "a" / "record.json")
    write_record(record(name=name, official=False, **texts), tmp_path / "b" / "record.json")
    # CSV: of the leaderboard, of tables and of lists
    cli("leaderboard", "--records", tmp_path, "--out", tmp_path / "l.csv")
    cli("list", "--records", tmp_path, "--out", tmp_path / "list.csv")
    tables = cli("table", "davis", "--records", tmp_path, "--format", "csv")
    for text in ((tmp_path / "l.csv").read_text(), (tmp_path / "list.csv").read_text(), tables):
        rows = [row for row in csv.DictReader(io.StringIO(text)) if row["model"]]
        assert {row["model"] for row in rows} == {row["split"] for row in rows} == {expected["csv"]}
        assert {float(row["value"]) for row in rows if row["metric" if "metric" in row else "headline"] == "J&F"} == {
            62
        }
    # Markdown and LaTeX
    for kind in ("md", "tex"):
        text = cli("table", "davis", "--records", tmp_path, "--format", kind)
        assert text.count(expected[kind]) >= 3
        if kind == "md":
            columns = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in text.splitlines() if line[:1] == "|"]
            assert len(set(columns)) == 2  # of the table and of what is beside it: no name makes another cell
    # HTML: nothing but what an empty page has, and the name as text
    parsed = {}
    for what, arguments in (("with", ["--records", tmp_path]), ("without", [])):
        parsed[what] = Texts()
        parsed[what].feed(cli("table", "davis", "--format", "html", *arguments))
    assert any(printable(name) in text for text in parsed["with"].texts)
    assert set(parsed["with"].tags) <= set(parsed["without"].tags) | {"h3"}
    page = Texts()
    page.feed((tmp_path / "l.html").read_text())
    assert page.tags.count("script") == 5
    (data,) = [text for text in page.texts if text.startswith('{"boards"')]
    assert {row["name"] for row in json.loads(data)["rows"] if row["origin"] == "measured"} == {printable(name)}
    # the terminal
    assert cli("list", "--records", tmp_path).count(printable(name)[:6].strip()) >= 2
    assert printable(name).strip() in cli("show", tmp_path / "a", "--items")
    assert json.loads(cli("show", tmp_path / "a", "--json"))["model"]["name"] == name


def test_numbers_stay_numbers():
    assert [as_csv(value) for value in (-1.5, 0, None, True, "text", "300")] == [-1.5, 0, None, True, "text", "300"]
    assert as_csv("-1.5") == "'-1.5"


def test_half_characters_are_escaped_everywhere():
    for write in (as_csv, as_html, as_markdown, as_tex, printable):
        write("a\ud800b").encode()


def test_a_negative_difference_is_a_number_in_csv(tmp_path, cli):
    write_record(record(method="DINO"), tmp_path / "record.json")
    text = cli("table", "davis", "--records", tmp_path, "--format", "csv")
    assert min(float(row["difference"] or 0) for row in csv.DictReader(io.StringIO(text))) < 0


def test_headings_of_other_peoples_metrics_are_no_markup(tmp_path, cli):
    theirs = {"[/bold]": 1.0, "[link=http://a]b": 2.0, "\x1b[2J": 3.0}
    write_record(record(per_item={"dog": theirs}), tmp_path / "record.json")
    out = cli("show", tmp_path, "--items")
    for word in ("[/bold]", "[link=http://a]b", "\\x1b[2J"):
        assert word in out


@pytest.mark.parametrize("coding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_the_characters_is_no_error(tmp_path, coding):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))  # a name that is no text at all
    write_record(record(name="名前"), folder / "record.json")
    done = subprocess.run(
        [sys.executable, "-m", "results", "table", "davis", "--records", tmp_path],
        env=os.environ | {"PYTHONIOENCODING": coding},
        cwd=ROOT,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert ("名前" if coding == "utf-8" else "\\u540d\\u524d").encode() in done.stdout


def test_a_broken_record_of_a_hostile_name_is_reported_in_one_line(tmp_path, capsys):
    write_record(record(), tmp_path / "record.json")
    folder = tmp_path / "\x1b]0;title\x07\nerror: all is lost"
    folder.mkdir()
    (folder / "record.json").write_text("{")
    assert main(["validate", "--records", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("broken: ")
    assert err.count("\n") == 1
    assert "\\x1b]0;title\\x07\\nerror" in err
