"""Reports of studies, computed again from the records in them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.studies import finish_all, study_file

from results.__main__ import main
from results.store import write_record
from results.study.cells import open_cells
from results.study.declaration import read_study
from results.study.recompute import recompute


def write_report(folder, place, capsys) -> Path:
    """Finish a study in a folder, and return its report."""
    study = study_file(folder)
    finish_all(open_cells(read_study(study), place))
    assert main(["study", str(study), "--data", str(place.data), "--out", str(place.out), "--report"]) == 0
    capsys.readouterr()
    return place.out / "study.json"


def test_a_report_is_computed_again_from_its_records(tmp_path, place, capsys):
    """A reviewer needs neither data nor runs to see whether a report's numbers are those of its records."""
    report = write_report(tmp_path, place, capsys)
    assert main(["study", str(report)]) == 0
    assert "computed again from 7 records, are as reported" in capsys.readouterr().out
    data = json.loads(report.read_text())
    data["scores"]["a"]["davis clips val"]["value"] += 0.01
    data["pairs"][0]["comparison"]["p_holm"] = 0.04
    report.write_text(json.dumps(data))
    assert main(["study", str(report)]) == 1
    said = capsys.readouterr().out
    assert "scores.a.davis clips val.value: the report says 73.76, the records 73.75" in said
    assert "pairs[0].comparison.p_holm: the report says 0.04" in said
    data["verdict"] = ["Is b better than everything? Yes."]
    report.write_text(json.dumps(data))
    assert main(["study", str(report)]) == 1
    assert "verdict: the report says ['Is b better" in capsys.readouterr().out
    name = next(name for name, cell in data["cells"].items() if cell["model"] == "b")
    data["cells"][name]["model"] = "a"
    report.write_text(json.dumps(data))
    assert main(["study", str(report)]) == 2
    assert "is of a on davis clips val, but its record of b on davis2017" in capsys.readouterr().err
    data["cells"][name]["model"] = ["b"]
    report.write_text(json.dumps(data))
    assert main(["study", str(report)]) == 2
    assert "is of ['b'] on davis clips val, which the study does not have" in capsys.readouterr().err
    report.write_text(json.dumps(data | {"study": data["study"] | {"seeds": []}}))
    assert main(["study", str(report)]) == 2
    assert f"{report}: study.seeds must be" in capsys.readouterr().err
    del data["cells"]
    report.write_text(json.dumps(data))
    assert main(["study", str(report)]) == 2
    assert "no report whose tables can be computed again" in capsys.readouterr().err
    assert main(["study", "configs/studies/small.py"]) == 2
    assert "needs --data DIR and --out DIR" in capsys.readouterr().err


def test_comparisons_that_no_record_tells_are_named_and_their_correction_computed(tmp_path, place, capsys):
    """Of a report of before items' scores were kept the scores, Holm's correction and the words still follow."""
    report = write_report(tmp_path, place, capsys)
    data = json.loads(report.read_text())
    lacking = next(name for name, cell in data["cells"].items() if cell["model"] == "b")
    data["records"][lacking]["per_item"] = {}
    report.write_text(json.dumps(data))
    assert main(["study", str(report)]) == 1
    said = capsys.readouterr().out
    assert "4 scores and 0 comparisons, computed again from 7 records, are as reported" in said
    assert "comparisons on davis clips val cannot be computed again" in said
    assert f"no scores of single items in the record of {lacking}" in said
    kept = data["pairs"][0]["comparison"]
    for change, message in ((("p_holm", 0.9), "p_holm: the report says 0.9"), (("low", "x"), "low must be a number")):
        data["pairs"][0]["comparison"] = kept | dict([change])
        report.write_text(json.dumps(data))
        assert main(["study", str(report)]) in (1, 2)
        assert message in "".join(capsys.readouterr())
    data["pairs"][0]["comparison"] = kept
    other = data["pairs"][0]["other"]
    for name in (f"{other}x", {}, None):
        report.write_text(json.dumps(data | {"pairs": [data["pairs"][0] | {"other": name}, *data["pairs"][1:]]}))
        assert main(["study", str(report)]) == 2
        assert "has no scores of single items" in capsys.readouterr().err
    del data["pairs"][0]
    report.write_text(json.dumps(data))
    assert main(["study", str(report)]) == 2
    assert "has no scores of single items" in capsys.readouterr().err


def test_a_floor_that_was_pretrained_on_other_data_is_said_in_the_verdict(tmp_path, place, capsys):
    study = study_file(tmp_path)
    cells = open_cells(read_study(study), place)
    finish_all(cells)
    for scoring in cells.floors():
        found = scoring.record
        about = {"data": "photographs", "images": 5060} if scoring.model == "random" else {"format": "pixels"}
        (scoring.folder / "record.json").unlink()
        write_record(replace(found, model=replace(found.model, pretraining=about)), scoring.folder / "record.json")
    assert main(["study", str(study), "--data", str(place.data), "--out", str(place.out), "--report"]) == 0
    sentence = "They were pretrained on other data: a on in1k, random on photographs (5,060 images)."
    said = capsys.readouterr().out
    assert said.count(sentence) == 1
    assert "pixels on" not in said
    for kind in ("md", "html", "json"):
        assert sentence in (place.out / f"study.{kind}").read_text()
    assert main(["study", str(place.out / "study.json")]) == 0


@pytest.mark.parametrize(
    "path", sorted(Path("results/studies").glob("*/study.json")), ids=lambda path: path.parent.name
)
def test_reports_of_the_repository_follow_from_their_records(path):
    report = json.loads(path.read_text())
    again = recompute(path)
    assert (again.differences, again.records) == ([], len(report["records"]))
    assert again.scores == sum(map(len, report["scores"].values()))
    if path.parent.name in ("small", "longer"):  # of before items' scores were kept: its README says so
        assert again.pairs == 0
        assert again.lacking
        assert "cannot be computed again" in (path.parent / "README.md").read_text()
    else:
        assert (again.pairs, again.lacking) == (len(report["pairs"]), {})
