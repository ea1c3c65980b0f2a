"""Published figures: what the checks refuse, and that the project's own files pass them."""

import shutil

import pytest

from flsl.runtime.errors import UserError
from results.paper import TABLES
from results.published import FOLDER, read_figures, read_methods, read_tolerances


@pytest.fixture
def copy(tmp_path):
    """The project's published.csv, with some text replaced."""

    def make(*replacements):
        path = tmp_path / "published.csv"
        text = (FOLDER / "published.csv").read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text)
        return path

    return make


def test_own_figures_pass_and_hold_the_verified_ones():
    figures = {(f.table, f.method, f.backbone, f.metric): f for f in read_figures()}
    assert all(figure.status in ("verified", "quoted") and "recalled" not in figure.source for figure in read_figures())
    for key, value in {
        ("coco", "FLSL", "ViT-S/16", "box_AP"): 44.9,
        ("coco", "FLSL", "ViT-S/16", "mask_AP"): 40.8,
        ("coco", "FLSL", "ViT-S/8", "box_AP"): 46.5,
        ("coco", "FLSL", "ViT-S/8", "mask_AP"): 42.1,
        ("coco", "DINO+SelfPatch", "ViT-S/16", "box_AP"): 42.1,
        ("davis", "DINO", "ViT-S/16", "J&F"): 61.8,
        ("davis", "DINO", "ViT-B/8", "F"): 74.9,
        ("uavdt", "SpotNet", "Hourglass", "AP"): 52.8,
    }.items():
        assert (figures[key].value, figures[key].status) == (value, "verified")
    assert not any(key[:2] == ("davis", "FLSL") for key in figures)  # nobody here has read them: empty cells are honest
    assert {figure.table for figure in figures.values()} == set(TABLES) - {"ablations"}
    assert figures["coco", "MoBY", "ViT-S/16", "box_AP"].status == "quoted"
    found = {f.protocol: f.value for f in read_figures() if (f.table, f.backbone) == ("discovery", "ViT-S/16")}
    assert (found["voc2007/lost@1"], found["voc2007/tokencut@1"]) == (61.9, 68.8)


def test_every_compared_metric_has_a_tolerance():
    tolerances = read_tolerances()
    assert tolerances["davis2017/dino@1", "J&F"].value == 0.5
    columns = [column for table in TABLES.values() for column in table.columns]
    assert {protocol for protocol, _ in tolerances} == {c.protocol for c in columns if "@" in c.protocol}
    for column in columns:
        assert "@" not in column.protocol or tolerances[column.key].reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("FLSL,ViT-S/16,300,mask_AP", "FLSSL,ViT-S/16,300,mask_AP"), ["method 'FLSSL' is not", "'FLSL'", "line "]),
        (("FLSL,ViT-S/16,300,mask_AP", "FLSL,ViT-S/16,300,box_AP"), ["is there already, in line "]),
        (
            ("Supervised,ResNet-50,,box_AP,38.9", "Supervised,ResNet-50,,box_AP,88.9"),
            ["box_AP is 88.9, more than box_AP50"],
        ),
        (("J&F,61.8", "J&F,63.8"), ["DINO ViT-S/16", "(J + F) / 2 is 61.8"]),
        (("J&F,61.8", "J&F,161.8"), ["161.8", "0..100"]),
        (("J&F,61.8", "J&F,none"), ["value 'none'"]),
        (("J&F,61.8", "J&F,nan"), ["value 'nan'"]),
        (("61.8,verified", "61.8,verifed"), ["status 'verifed' is not a known status", "Did you mean 'verified'"]),
        (("61.8,verified", "61.8,unverified"), ["status 'unverified' is not a known status", "quoted, verified"]),
        (("davis,davis2017/dino@1,DINO", "davvis,davis2017/dino@1,DINO"), ["table 'davvis' is not"]),
        (("davis,davis2017/dino@1,DINO", "davis,davis2017/dino,DINO"), ["protocol 'davis2017/dino'"]),
        (("ViT-S/16,300,box_AP,44.9", "ViT-S/16,300,box_AQ,44.9"), ["metric 'box_AQ' is not", "'box_AP'"]),
        (("ViT-S/16,300,box_AP,44.9", "ViT-S/16,many,box_AP,44.9"), ["epochs 'many'"]),
        (("ViT-S/16,300,box_AP,44.9", f"ViT-S/16,{'3' * 5000},box_AP,44.9"), ["epochs '333"]),
        (('61.8,verified,"DINO paper, Table 5"', "61.8,verified,"), ["source is empty"]),
        (("table,protocol", "tabel,protocol"), ["must have the columns"]),
        (("J&F,61.8,", "J&F,61.8,,"), ["cells"]),
    ],
)
def test_wrong_figures_are_refused_by_line(copy, change, words):
    with pytest.raises(UserError) as caught:
        read_figures(copy(change))
    for word in words:
        assert word in str(caught.value)


def test_a_source_that_contradicts_itself_needs_a_note(copy):
    with pytest.raises(UserError, match=r"CT ResNet-50.*J&F is 48\.7"):
        read_figures(copy((";" + " J and F do not average to J&F as printed", "")))


def test_adding_a_figure_is_one_line(copy):
    path = copy()
    path.write_text(path.read_text() + "uavdt,uavdt/official@1,DetCo,ResNet-50,,AP,40.1,quoted,a survey,\n")
    assert read_figures(path)[-1].value == 40.1


def test_names_of_methods_are_unique(tmp_path):
    path = tmp_path / "methods.csv"
    shutil.copy(FOLDER / "methods.csv", path)
    path.write_text(path.read_text() + "New,supervised,flsl,nobody\n")
    with pytest.raises(UserError, match="'flsl' belongs to FLSL"):
        read_methods(path)
    shutil.copy(FOLDER / "methods.csv", path)
    path.write_text(path.read_text() + "New,supervized,,nobody\n")
    with pytest.raises(UserError, match=r"line \d+: 'supervized' is not a known group. Did you mean 'supervised'"):
        read_methods(path)


def test_command_prints_figures_and_counts(cli):
    code, out, _ = cli("published", "--table", "coco", "--status", "verified")
    assert code == 0
    assert "44.9" in out
    assert " 0 quoted" in out
    code, _, err = cli("published", "--table", "cocoo")
    assert code == 2
    assert "Did you mean 'coco'" in err
