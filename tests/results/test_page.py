"""The leaderboard page: what is in the file, and how it behaves in a real browser (headless Chromium)."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from support.browser import browser
from support.records import davis_metrics

from results.compare import compare_records
from results.record import Metric
from results.report import report_data, report_page
from results.reproduce import Step, judge_claims

STUDY = Path(__file__).resolve().parents[2] / "results/studies/small/study.html"
HOSTILE = "</script><img src=x onerror=alert(1)>"

# Runs in the page after its own scripts: uses the controls as a reader would and reports what is then to be seen.
PROBE = r"""(async () => {
const seen = {};
const rows = () => [...document.querySelectorAll(".board tbody tr")];
const names = (section) => [...section.querySelectorAll("tbody th")].map((cell) => cell.textContent);
const boards = () => [...document.querySelectorAll(".board")];
const heading = (section) => section.querySelector("h2").textContent;
const davis = () => boards().find((section) => heading(section).startsWith("DAVIS 2017 val"));
const set = (id, value) => { const node = document.getElementById(id); node.value = value; node.dispatchEvent(new Event(node.type === "search" ? "input" : "change")); };
const overviewOf = () => document.getElementById("overview");
seen.first = document.querySelector("#app h2").textContent;
seen.overview = [...overviewOf().querySelectorAll("tbody tr.measured")].map((row) => [...row.cells].map((cell) => cell.textContent));
seen.overviewColumns = [...overviewOf().querySelectorAll("thead th")].map((cell) => cell.textContent);
seen.titles = boards().map(heading);
seen.closed = boards().filter((section) => !section.open).map(heading);
seen.measured = document.querySelectorAll(".board tr.measured").length;
seen.published = document.querySelectorAll(".board tr.published").length;
seen.rankedPublished = [...document.querySelectorAll(".board tr.published")].filter((row) => row.cells[0].textContent !== "").length;
seen.methodless = rows().filter((row) => row.cells[2].textContent === "").length;
seen.start = names(davis());
const header = (key) => [...davis().querySelectorAll("th button")].find((b) => b.textContent === key);
header("J").focus(); header("J").click();
seen.byJ = names(davis());
seen.sort = header("J").parentElement.getAttribute("aria-sort");
seen.focusKept = document.activeElement === header("J");
header("J").click();
seen.byJUp = names(davis());
header("Model").click();
seen.byName = names(davis());
set("filter-origin", "measured"); seen.onlyMeasured = rows().every((row) => row.className === "measured") && rows().length;
set("filter-patch", "8"); seen.patch8 = rows().map((row) => row.querySelector("th").textContent);
set("filter-patch", ""); set("filter-architecture", "vit_demo"); seen.demo = rows().map((row) => row.querySelector("th").textContent);
set("filter-architecture", ""); set("filter-text", "no such model"); seen.nothing = document.getElementById("boards").textContent;
set("filter-text", ""); set("filter-origin", ""); set("filter-board", "0"); seen.oneBoard = boards().length; set("filter-board", "");
const shown = () => [...davis().querySelectorAll("thead th")].map((cell) => cell.textContent);
seen.columns = shown();
document.getElementById("column-parameters").click(); document.getElementById("column-numbers").click();
seen.otherColumns = shown();
seen.numbers = davis().querySelector("td[data-label='Interval in numbers']:not(:empty)").textContent;
document.getElementById("column-numbers").click();
const member = data.rows.filter((row) => data.boards[row.board].title.startsWith("DAVIS 2017 val"));
seen.csv = csvOf(columnsOf(data.boards[member[0].board], member), member);
seen.bars = document.querySelectorAll("tr.measured .interval rect").length;
seen.barWords = document.querySelector("tr.measured .interval").getAttribute("aria-label");
const link = document.querySelector("tr.measured a"); link.click();
const details = document.querySelector(link.getAttribute("href"));
seen.recordOpen = details.open;
seen.points = [...document.querySelectorAll("#scatter .point")].map((point) => point.getAttribute("aria-label"));
const axisOf = (text) => [...document.getElementById("scatter-x").options].findIndex((option) => option.textContent.startsWith(text));
set("scatter-x", axisOf("J: DAVIS 2017 val")); set("scatter-y", axisOf("F: DAVIS 2017 val"));
seen.pointsJF = document.querySelectorAll("#scatter .point.measured").length;
seen.axes = [...document.querySelectorAll("#scatter text")].map((text) => text.textContent).filter((text) => text.includes(":"));
const sides = [...davis().querySelectorAll("tbody th")].map((cell) => getComputedStyle(cell).position);
seen.frozen = sides.every((side) => side === "sticky");
seen.images = document.images.length;
const picture = document.querySelector("#scatter svg");
seen.svg = standalone(picture).text;
await new Promise((resolve) => setTimeout(resolve, 50));
seen.png = (await pngOf(picture)).size;
seen.recordText = details.textContent;
return seen; })()"""


@pytest.fixture(scope="module")
def tab():
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(make_record, davis_scores, coco_scores, tmp_path_factory):
    """A leaderboard page of a few records, one with a hostile name."""
    from results.__main__ import main
    from results.store import write_record

    folder = tmp_path_factory.mktemp("page")
    coco = {"benchmark": "coco", "protocol": "coco/mask-rcnn_1x@1"}
    records = [
        make_record(),
        make_record(name="dino s8", method="DINO", patch_size=8, metrics=davis_scores(66.0, 73.0), fingerprint="d"),
        make_record(name=HOSTILE, method="DINO", metrics=davis_scores(59.0, 66.0), fingerprint="e"),
        make_record(name="demo", architecture="vit_demo", official=False, metrics=davis_scores(90.0, 92.0)),
        make_record(metrics=coco_scores(), **coco),
        make_record(
            name="dino s8", method="DINO", patch_size=8, metrics=coco_scores(41.0, 37.0), fingerprint="d", **coco
        ),
        make_record(name="half", items_evaluated=3, status="partial"),
    ]
    for index, record in enumerate(records):
        write_record(record, folder / "records" / str(index) / "record.json")
    assert main(["leaderboard", "--records", str(folder / "records"), "--out", str(folder / "leaderboard.csv")]) == 0
    return folder / "leaderboard.html"


def test_page_is_one_file_that_fetches_nothing(page):
    text = page.read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", text)
    assert "default-src 'none'" in text
    assert text.count("</script>") == 5  # data and four scripts: no name ends one early
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))
    assert {row["origin"] for row in data["rows"]} == {"measured", "published"}
    assert "half" not in [row["name"] for row in data["rows"]]


def test_a_figure_is_held_against_what_is_published_of_it_also_where_the_headline_is_another(
    make_record, write_records, cli, tmp_path
):
    hummingbird = make_record(
        method="DINO",
        benchmark="segmentation",
        protocol="voc2012/in-context-hbird@1",
        metrics={"mIoU": Metric(40.0), "mIoU_matched": Metric(46.5)},
    )
    cli("leaderboard", "--records", write_records(hummingbird), "--out", tmp_path / "l.csv")
    text = (tmp_path / "l.html").read_text()
    rows = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))["rows"]
    assert [(row["verdict"], row["why"]) for row in rows if "why" in row] == [("reproduced (−0.1)", "mIoU_matched")]


def test_a_model_of_which_one_benchmark_scored_more_seeds_is_one_in_the_overview(
    make_record, write_records, coco_scores, cli, tmp_path
):
    coco = {"benchmark": "coco", "protocol": "coco/mask-rcnn_1x@1", "metrics": coco_scores()}
    changes = [(0, {}), (1, {"metrics": davis_metrics(61.0)}), (0, coco)]
    pretraining = {"data": "in1k", "recipe": {"training": {"epochs": 1}}}
    records = [
        make_record(seed=s, fingerprint="ab"[s], name="m", pretraining=pretraining, **more) for s, more in changes
    ]
    cli("leaderboard", "--records", write_records(*records), "--out", tmp_path / "l.csv")
    text = (tmp_path / "l.html").read_text()
    rows = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))["rows"]
    assert [row["key"] for row in rows if row["origin"] == "measured"] == ["m a b", "m a b"]


def test_the_overview_tells_encoders_of_one_name_apart(make_record, write_records, cli, tmp_path, tab):
    records = [make_record(name="m", fingerprint=first * 64, seed=0) for first in "ab"]
    cli("leaderboard", "--records", write_records(*records), "--out", tmp_path / "l.csv")
    tab.open(tmp_path / "l.html")
    names = tab.run(
        "[...document.querySelectorAll('#overview tbody tr.measured')].map((row) => row.cells[0].textContent)"
    )
    assert sorted(names) == ["m (encoder aaaaaaaa)", "m (encoder bbbbbbbb)"]


def test_page_works_in_a_browser(page, tab):
    tab.open(page)
    seen = tab.run(PROBE)
    assert tab.errors == []
    assert seen["images"] == 0  # the hostile name is text
    # the overview comes first: measured models, their headline by benchmark with the rank, official data before other
    assert seen["first"] == "Overview"
    assert seen["overviewColumns"][1:4] == [
        "J&F: DAVIS 2017 val, 30 sequences",
        "box_AP: COCO 2017: davis2017 val, 30 sequences",
        "J&F: DAVIS 2017 val, 30 sequences, not the official data",
    ]
    assert seen["overview"][0][:4] == ["dino s8", "69.5 #1", "41.0 #1 =", ""]
    assert {row[0] for row in seen["overview"]} == {"dino s8", "flsl s16", HOSTILE, "demo"}
    assert seen["measured"] == 6
    assert seen["published"] > 40
    assert seen["rankedPublished"] == seen["methodless"] == 0
    assert len(seen["titles"]) == len(set(seen["titles"]))
    assert "not the official data" in seen["titles"][-1]
    assert all("measured yet" in title or "no adapter" in title for title in seen["closed"])
    measured = {"flsl s16", "dino s8", HOSTILE}
    assert [name for name in seen["start"] if name in measured] == ["dino s8", HOSTILE, "flsl s16"]
    assert seen["start"][0] == "STM (supervised VOS)"
    assert [name for name in seen["byJ"] if name in measured] == ["dino s8", "flsl s16", HOSTILE]
    assert [name for name in seen["byJUp"] if name in measured] == [HOSTILE, "flsl s16", "dino s8"]
    assert seen["byName"] == sorted(seen["byName"], key=str.lower) or seen["byName"][0] == HOSTILE
    assert (seen["sort"], seen["focusKept"], seen["frozen"]) == ("descending", True, True)
    assert seen["onlyMeasured"] == 6
    assert sorted(seen["patch8"]) == ["dino s8", "dino s8"]
    assert seen["demo"] == ["demo"]
    assert "No row" in seen["nothing"]
    assert seen["oneBoard"] == 1
    assert set(seen["columns"]) - set(seen["otherColumns"]) == {"Parameters (M)"}
    assert set(seen["otherColumns"]) - set(seen["columns"]) == {"Interval in numbers"}
    assert re.fullmatch(r"[\d.]+ to [\d.]+", seen["numbers"])
    rows = list(csv.DictReader(io.StringIO(seen["csv"])))
    assert {row["Model"] for row in rows} >= measured
    assert next(row for row in rows if row["Model"] == "dino s8")["Parameters (M)"] == "21589632"
    assert seen["bars"] == 4
    assert "95 % interval 60.5 to 64.5, over 30 sequences, one training" in seen["barWords"]
    assert seen["recordOpen"]
    assert "model › fingerprint" in seen["recordText"]
    assert "config_sha256" in seen["recordText"]
    assert any("measured" in words for words in seen["points"])
    assert any("published" in words for words in seen["points"])
    assert seen["pointsJF"] == 3
    assert seen["axes"] == ["DAVIS 2017 val, 30 sequences: J", "DAVIS 2017 val, 30 sequences: F"]
    assert seen["svg"].startswith("<svg")
    assert seen["png"] > 1000


def test_a_ranking_says_what_its_models_were_pretrained_on_where_that_differs(make_record, write_records, cli, tab):
    trained = [{"data": "in1k", "images": 1_281_167}, {"data": "photographs", "images": 5060}, {}]
    records = [make_record(name=f"m{i}", fingerprint=f"{i}", pretraining=told) for i, told in enumerate(trained)]
    records += [make_record(name="drawn", fingerprint="r", pretraining={"format": "random"})]
    records += [make_record(name="alone", split="test", pretraining=trained[0])]
    folder = write_records(*records)
    words = ["in1k (1,281,167 images)", "photographs (5,060 images)", "not stated", ""]
    out = cli("leaderboard", "--records", folder, "--out", folder / "l.csv")[1]
    assert [out.count(text) for text in ("┃ pretrained on", *words[:2])] == [1, 1, 1]
    tab.open(folder / "l.html")
    column = """[...document.querySelectorAll("tr.measured td[data-label='Pretrained on']")].map((cell) => cell.textContent)"""
    assert sorted(tab.run(column)) == sorted(words)
    assert tab.errors == []


@pytest.fixture(scope="module")
def report(make_record, davis_scores, tmp_path_factory):
    """A reproduction report with a claim that does not hold, open evidence and a comparison."""
    path = tmp_path_factory.mktemp("report") / "record.json"
    record = make_record(method="DINO", metrics=davis_scores(60.2, 62.8), command="python -m eval " + "x" * 300)
    steps = [Step("davis", "skip", "done", record=path), Step("coco", "leave out", "no data in /" + "a" * 200)]
    comparisons = [compare_records(record, make_record(name="n" * 80), "J")]
    model = dataclasses.asdict(record.model)
    data = report_data(model, steps, judge_claims("davis", path, record), {path: record}, comparisons, 1)
    page = path.with_suffix(".html")
    page.write_text(report_page(data).replace("<details>", "<details open>"))
    return page


@pytest.fixture
def opened(request, tab):
    """A page in a window."""
    which, size = request.param
    tab.open(STUDY if which == "study" else request.getfixturevalue(which), size)
    return tab


EVERY = [(which, size) for which in ("page", "report", "study") for size in ((1400, 900), (390, 844))]


@pytest.mark.parametrize("opened", EVERY, indirect=True, ids=str)
def test_nothing_makes_the_window_scroll_sideways(opened):
    opened.check_width()


@pytest.mark.parametrize("opened", EVERY, indirect=True, ids=str)
def test_the_tab_key_reaches_everything(opened):
    opened.walk()


def test_a_leaderboard_is_used_by_keyboard(page, tab):
    tab.open(page)
    tab.walk_to('[...document.querySelectorAll("th button")].find((button) => button.textContent === "J")')
    tab.press("Enter")
    assert tab.run('document.activeElement.parentElement.getAttribute("aria-sort")') == "descending"
    tab.walk_to('document.querySelector("#columns summary")')
    tab.press("Enter")
    tab.press("Tab")
    tab.press(" ")  # the first of the columns that can be hidden
    assert tab.run("document.activeElement.checked") is False
    tab.walk_to('document.querySelector("tr.measured a")')
    tab.press("Enter")
    assert tab.run('document.querySelector(location.hash + "[open]") !== null')  # the record


@pytest.mark.parametrize("opened", [("page", (390, 844))], indirect=True)
def test_a_wide_table_scrolls_by_keyboard(opened):
    opened.walk_to('document.querySelector("#overview .scroll")')
    opened.press("ArrowRight", 3)
    assert opened.run("new Promise((done) => setTimeout(() => done(document.activeElement.scrollLeft), 400))") > 20


@pytest.mark.parametrize(("size", "scheme"), [((390, 2400), "light"), ((1280, 1600), "dark")])
def test_page_is_drawn_on_a_phone_and_in_dark_mode(page, tab, size, scheme):
    tab.open(page, size, scheme)
    image = Image.open(io.BytesIO(tab.picture())).convert("L")
    ground = image.getpixel((2, 2))
    assert ground < 60 if scheme == "dark" else ground > 230
    shares = image.histogram()
    ink = 1 - sum(shares[max(ground - 25, 0) : ground + 26]) / (image.width * image.height)
    assert 0.02 < ink < 0.5  # neither blank nor a mess
