"""Tables: verdicts at their limits, order, marks, what may stand beside published rows, and the four formats."""

import csv
import io
import random
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from results import render
from results.benchmarks import BENCHMARKS, measured
from results.leaderboard import build_leaderboard
from results.paper import TABLES
from results.published import FOLDER, read_published
from results.record import Metric
from results.render_tex import to_tex
from results.tables import build_table
from results.verdict import backbone_of, judge

PUBLISHED = read_published()


def rows_of(*records):
    return build_leaderboard({Path(f"{index}.json"): record for index, record in enumerate(records)}).rows


@pytest.fixture
def coco_record(make_record, coco_scores):
    def make(box=44.9, mask=40.8, **changes):
        fields = {"benchmark": "coco", "protocol": "coco/mask-rcnn_1x@1", "metrics": coco_scores(box, mask)}
        return make_record(**(fields | changes))

    return make


@pytest.mark.parametrize(
    ("box", "word"),
    [
        (44.9, "reproduced"),
        (44.4, "reproduced"),
        (44.9 - 0.5 - 1e-14, "reproduced"),  # as sums in another order differ
        (45.4, "reproduced"),
        (44.39, "below"),
        (45.41, "above"),
        (10.0, "below"),
    ],
)
def test_verdict_follows_the_tolerance(coco_record, box, word):
    verdict = judge(rows_of(coco_record(box))[0], "box_AP", PUBLISHED)
    assert (verdict.word, verdict.tolerance.value) == (word, 0.5)
    assert verdict.difference == pytest.approx(box - 44.9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"official": False}, "not the official data"),
        ({"method": "random"}, "no published box_AP of random"),
        ({"architecture": "vit_tiny"}, "no published"),
        ({"pretraining": {"epochs": 10}}, "10 epochs, the published model for 300"),
        ({"protocol": "coco/mask-rcnn_1x@2"}, "no published"),
        ({"protocol": "coco/mask-rcnn_smoke@1"}, "no published"),
    ],
)
def test_no_reference_where_the_claim_is_another(coco_record, change, reason):
    verdict = judge(rows_of(coco_record(**change))[0], "box_AP", PUBLISHED)
    assert verdict.word == "no reference"
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("box", "mask", "word"),
    [(44.9, 40.0, "below"), (46.0, 40.0, "below"), (46.0, 40.8, "above"), (44.9, 40.8, "reproduced")],
)
def test_a_line_says_the_worst_of_its_metrics(coco_record, box, mask, word):
    table = build_table("coco", rows_of(coco_record(box, mask)), PUBLISHED)
    (line,) = (line for line in table.lines if line.row)
    assert line.verdict == word


def test_what_nobody_has_published_is_no_reference(make_record, davis_scores):
    verdict = judge(rows_of(make_record(metrics=davis_scores(62.4, 69.4)))[0], "J&F", PUBLISHED)
    assert (verdict.word, verdict.reason) == ("no reference", "no published J&F of FLSL ViT-S/16")


def test_names_of_methods_match_in_any_case_and_by_alias(coco_record):
    row = rows_of(coco_record(42.0, 38.4, method="SelfPatch"))[0]
    assert judge(row, "box_AP", PUBLISHED).figure.method == "DINO+SelfPatch"
    assert judge(rows_of(coco_record(method="flsl"))[0], "box_AP", PUBLISHED).figure.method == "FLSL"


def test_dinov3_stands_beside_its_published_figures(make_record):
    for architecture, published in (("vit_small_patch16_dinov3", 47.0), ("vit_small_plus_patch16_dinov3", 48.8)):
        record = make_record(
            method="DINOv3", architecture=architecture, benchmark="segmentation", protocol="ade20k/linear-dinov3@1",
            metrics={"mIoU": Metric(47.5)}, per_item={},
        )  # fmt: skip
        assert judge(rows_of(record)[0], "mIoU", PUBLISHED).figure.value == published


@pytest.mark.parametrize(("epochs", "shown"), [(300.0, "300"), (12.5, "12.5"), ("many", ""), (None, "")])
def test_epochs_are_printed_as_published_ones_are(coco_record, epochs, shown):
    table = build_table("coco", rows_of(coco_record(pretraining={"epochs": epochs})), PUBLISHED)
    (line,) = (line for line in table.lines if line.row)
    assert render.labels_of(table, line, [])[2] == shown


def test_backbones_as_tables_print_them():
    assert backbone_of("vit_small", 16) == "ViT-S/16"
    assert backbone_of("vit_base", 8) == "ViT-B/8"
    assert backbone_of("vit_small_plus_patch16_dinov3", 16) == "ViT-S+/16"
    assert backbone_of("vit_large_patch16_dinov3.lvd1689m", 16) == "ViT-L/16"
    assert backbone_of("vit_demo", 8) == "vit_demo/8"
    assert backbone_of("unknown", 0) == "unknown"


def test_published_rows_keep_the_papers_order_and_ours_follow_their_own(coco_record):
    rows = rows_of(coco_record(name="ours"), coco_record(40.9, 37.2, name="dino again", method="DINO", fingerprint="d"))
    table = build_table("coco", rows, PUBLISHED)
    published = [(line.method, line.backbone) for line in table.lines if line.origin == "published"]
    assert published[0] == ("Supervised", "ResNet-50")
    assert published[-3:] == [("ADCLR", "ViT-S/16"), ("FLSL", "ViT-S/16"), ("FLSL", "ViT-S/8")]
    for index, line in enumerate(table.lines):
        if line.origin == "measured":
            beside = table.lines[index - 1]
            assert (beside.origin, beside.method, beside.backbone) == ("published", line.method, line.backbone)
    names = [column.metric.name for column in TABLES["coco"].columns]
    assert names == ["box_AP", "box_AP50", "box_AP75", "mask_AP", "mask_AP50", "mask_AP75"]


def best_of(table, metric):
    found = [line for line in table.lines for (_, name), cell in line.cells.items() if name == metric and cell.best]
    return {(line.origin, line.group, line.method, line.backbone) for line in found}


def test_the_best_of_a_column_is_bold_within_its_group(coco_record, make_record):
    published = build_table("coco", [], PUBLISHED)
    assert best_of(published, "box_AP") == {
        ("published", "self-supervised", "FLSL", "ViT-S/8"),
        ("published", "supervised", "Supervised", "ResNet-50"),
    }
    ours = build_table("coco", rows_of(coco_record(50.0, 45.0)), PUBLISHED)
    assert best_of(ours, "box_AP") == {
        ("measured", "self-supervised", "FLSL", "ViT-S/16"),
        ("published", "supervised", "Supervised", "ResNet-50"),
    }
    near = build_table("coco", rows_of(coco_record(46.54, 40.0)), PUBLISHED)  # 46.5 are printed of both
    assert best_of(near, "box_AP") == {
        ("measured", "self-supervised", "FLSL", "ViT-S/16"),
        *best_of(published, "box_AP"),
    }
    unknown = build_table("coco", rows_of(coco_record(50.0, 45.0, method="of nobody")), PUBLISHED)
    assert best_of(unknown, "box_AP") == best_of(published, "box_AP")  # whose group is not known


def test_a_table_of_several_protocols_has_one_line_per_model():
    table = build_table("discovery", [], PUBLISHED)
    (line,) = [line for line in table.lines if (line.method, line.backbone) == ("DINO", "ViT-S/16")]
    values = {protocol: cell.value for (protocol, _), cell in line.cells.items()}
    assert [values[f"{data}/lost@1"] for data in ("voc2007", "voc2012", "coco20k")] == [61.9, 64.0, 50.7]
    assert [values[f"{data}/tokencut@1"] for data in ("voc2007", "voc2012", "coco20k")] == [68.8, 72.1, 58.8]
    text = render.to_markdown([table])
    assert "| Method | Backbone | VOC 2007, LOST | VOC 2007, TokenCut | VOC 2012, LOST |" in text
    assert "VOC 2012, TokenCut | COCO 20k, LOST | COCO 20k, TokenCut |\n" in text  # nothing measured, nothing to differ
    assert "No adapter here" in render.to_markdown([build_table("knn", [], PUBLISHED)])
    assert "No adapter here" not in render.to_markdown([build_table("coco", [], PUBLISHED)])


def test_the_ablation_table_holds_what_knn_records_hold(make_record):
    """Their metrics once had different names, so that a record could never stand in the table."""
    protocol = "knn/bbox@1"
    metrics = measured("knn", protocol, {metric.name: 50.0 for metric in BENCHMARKS["knn"].metrics_of(protocol)})
    record = make_record(benchmark="knn", protocol=protocol, metrics=metrics, headline="vote_k20")
    table = build_table("ablations", rows_of(record), PUBLISHED)
    (line,) = table.lines
    assert {name for _, name in line.cells} == set(metrics)
    assert table.others == []


@pytest.mark.parametrize("seed", range(10))
def test_only_official_complete_records_of_the_protocol_stand_beside_published_ones(make_record, davis_scores, seed):
    generator = random.Random(seed)
    records = []
    for index in range(30):
        status = generator.choice(["complete", "partial", "failed"])
        records.append(
            make_record(
                name=f"model {index}",
                protocol=generator.choice(["davis2017/dino@1", "davis2017/dino@2", "davis2017/dinov3@1"]),
                official=generator.random() < 0.5,
                status=status,
                items_evaluated=30 if status == "complete" else 3,
                metrics=davis_scores(generator.uniform(20, 80), generator.uniform(20, 80)),
            )
        )
    table = build_table("davis", rows_of(*records), PUBLISHED)
    wanted = {
        record.model.name
        for record in records
        if record.status == "complete" and record.dataset.official and record.protocol == "davis2017/dino@1"
    }
    assert {line.row.model for line in table.lines if line.row} == wanted
    others = {record.model.name for record in records if record.status == "complete"} - wanted
    assert {row.model for row in table.others} == others
    for line in table.lines:  # published and measured are never confused
        assert (line.origin == "published") == (line.row is None)
        assert all((cell.figure is not None) == (line.origin == "published") for cell in line.cells.values())
    text = render.to_markdown([table])
    top = text.split(f"### {render.OTHERS}")[0]
    assert all(f"(ours: {name})" in top for name in wanted)
    assert not any(f"(ours: {name})" in text for name in others)
    assert not any(r.model.name + " |" in text for r in records if r.status != "complete")


def test_footnotes_say_what_was_read_where_and_what_intervals_cover(make_record, davis_scores):
    notes = build_table("uavdt", [], PUBLISHED).footnotes()
    assert notes[-1] == (
        "Published figures as read in: CenterNet, RetinaNet, SpotNet, FFAVOD-SpotNet: FFAVOD repository README."
    )
    without = make_record(name="without", fingerprint="d", metrics={"J&F": Metric(60.0)})
    notes = build_table("davis", rows_of(make_record(metrics=davis_scores()), without), PUBLISHED).footnotes()
    assert [note for note in notes if "95 %" in note] == ["In brackets 95 % intervals over 30 sequences, one training."]


def test_published_figures_keep_their_decimals_and_ours_have_one(coco_record):
    table = build_table("coco", rows_of(coco_record(44.87)), PUBLISHED)
    texts = {cell.text for line in table.lines for (_, name), cell in line.cells.items() if name == "box_AP"}
    assert {"40.19", "44.9"} <= texts
    assert "44.87" not in texts


@pytest.fixture
def all_tables(coco_record, make_record, davis_scores):
    rows = rows_of(
        coco_record(name="ours_50% & <b>|x|</b>"),
        coco_record(12.0, 10.0, name="demo", official=False, architecture="vit_demo"),
        make_record(method="DINO", metrics=davis_scores(60.1, 63.5)),
        make_record(benchmark="uavdt", protocol="uavdt/official@1", metrics={"AP": Metric(53.0)}),
    )
    return [build_table(name, rows, PUBLISHED) for name in TABLES]


def test_markdown_has_marks_footnotes_intervals_and_verdicts(all_tables):
    text = render.to_markdown(all_tables)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "reproduced" in lines["*DINO (ours: flsl s16)*"]
    assert "61.8 [59.8, 63.8]" in lines["*DINO (ours: flsl s16)*"]
    assert "34.35†" in lines["R-FCN"]
    assert "† quoted from a third party: SpotNet/FFAVOD READMEs quoting Du et al. 2018." in text
    assert "trained on VLOG video; J and F do not average" in text
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert len(set(widths)) <= len(TABLES)  # a name with bars does not break a row
    assert "<b>" not in text


def test_csv_is_one_line_a_number_with_everything(all_tables):
    rows = list(csv.DictReader(io.StringIO(render.to_csv(all_tables))))
    figures = PUBLISHED[0]
    published = [row for row in rows if row["section"] == "published"]
    assert len(published) == len(figures)
    assert [(row["method"], float(row["value"])) for row in published[:3]] == [(f.method, f.value) for f in figures[:3]]
    (ours,) = [row for row in rows if row["section"] == "measured" and row["metric"] == "J&F"]
    assert (ours["verdict"], ours["tolerance"], ours["status"]) == ("reproduced", "0.5", "")
    assert float(ours["interval_low"]) == 59.8
    (other,) = [row for row in rows if row["section"] == "not comparable"]
    assert (other["model"], other["verdict"], other["difference"]) == ("demo", "no reference", "")


def test_csv_tells_recipes_of_one_model_apart_and_has_every_interval(make_record, davis_scores):
    encoder = {"name": "ours", "metrics": davis_scores()}
    rows = rows_of(*(make_record(**encoder, official=o, config_sha256=64 * k) for o in (True, False) for k in "ab"))
    lines = csv.DictReader(io.StringIO(render.to_csv([build_table("davis", rows, PUBLISHED)])))
    found = [line for line in lines if line["model"] and line["metric"] == "J&F"]
    assert [line["section"] for line in found] == ["measured"] * 2 + ["not comparable"] * 2
    assert {re.sub("recipe .{8}", "recipe", line["model"]) for line in found} == {"ours (recipe)"}
    assert len({line["model"] for line in found}) == 2
    assert {(line["interval_low"], line["interval_high"]) for line in found} == {("60.0000", "64.0000")}


def test_html_is_well_formed_and_escapes_names(all_tables):
    class Checker(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.text = [], ""

        def handle_starttag(self, tag, attrs):
            self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

        def handle_data(self, data):
            self.text += data

    checker = Checker()
    checker.feed(render.to_html(all_tables))
    assert checker.open == []
    assert "ours_50% & <b>|x|</b>" in checker.text


def test_every_method_but_plain_supervision_is_cited():
    assert {method.name for method in PUBLISHED[2].values() if not method.cite} == {"Supervised"}


def test_columns_that_no_line_fills_are_left_out(make_record, davis_scores):
    empty = [
        line for line in render.to_markdown([build_table("davis", [], PUBLISHED)]).splitlines() if "Method" in line
    ]
    assert empty == ["| Method | Backbone | J&F | J | F |"]
    rows = rows_of(make_record(method="DINO", metrics=davis_scores(60.1, 63.5)))
    table = build_table("davis", rows, PUBLISHED)
    assert "| Method | Backbone | J&F | J | F | Difference | Verdict |" in render.to_markdown([table])
    coco = render.to_html([build_table("coco", [], PUBLISHED)])
    assert "<th scope=colgroup colspan=3>box</th><th scope=colgroup colspan=3>mask</th>" in coco


def test_latex_compiles(all_tables, tmp_path):
    (tmp_path / "tables.tex").write_text(to_tex(all_tables))
    text = (tmp_path / "tables.tex").read_text()
    assert r"\toprule" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(TABLES) + 1
    assert r"\resizebox" not in text
    assert "S[table-format=2.2, table-space-text-post={$^{\\dagger}$}]" in text  # 40.19, and a quoted figure
    assert r"\multicolumn{3}{c}{box} & \multicolumn{3}{c}{mask}" in text
    assert r"FLSL~\cite{su2023flsl} & ViT-S/8 & 300 & \bfseries 46.5 & " in text
    assert "flsl s16: J\\&F 61.8 {[}59.8, 63.8]." in text
    works = (FOLDER / "references.bib").read_text()
    assert all(f"{{{key}," in works for key in re.findall(r"\\cite\{(\w+)\}", text))
    found = shutil.which("pdflatex") and subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True).stdout
    if not found:
        pytest.skip(
            "pdflatex or siunitx absent: install texlive-latex-recommended and texlive-science to compile the tables"
        )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("kind", ["md", "csv", "tex", "html"])
def test_command_writes_every_format(make_record, write_records, cli, tmp_path, kind):
    folder = write_records(make_record(), make_record(items_evaluated=3, status="partial", name="half"))
    out = tmp_path / f"t.{kind}"
    code, _, err = cli("table", "all", "--records", folder, "--format", kind, "--out", out)
    assert code == 0
    assert "3 of 30" in err
    assert "flsl s16" in out.read_text()
    assert "half" not in out.read_text()
    assert out.read_bytes() == (cli("table", "all", "--records", folder, "--format", kind)[1]).encode()


def test_command_without_records_prints_the_published_table_and_refuses_unknown_names(cli):
    code, out, _ = cli("table", "davis")
    assert code == 0
    assert "| DINO | ViT-S/16 | 61.8 | 60.2 | 63.4 |" in out
    code, _, err = cli("table", "daviss")
    assert code == 2
    assert "Did you mean 'davis'" in err
