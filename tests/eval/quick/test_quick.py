"""A quick look: a real one at small sizes, and what it says of encoders that differ or do not."""

import dataclasses

import pytest
from PIL import Image
from support.browser import browser

from eval.__main__ import main
from eval.propagation.sheet import CELL
from eval.quick.look import take_look
from eval.quick.report import as_text
from eval.quick.trials import BUNDLED, TRIALS
from flsl.checkpoint import load_encoder

# Without segmentation, whose protocol enlarges every image to 448 pixels.
SMALL = tuple(
    dataclasses.replace(TRIALS[index], sizes=TRIALS[index].sizes | sizes)
    for index, sizes in (
        (0, {"sequences": 5, "frames": 3, "height": 96, "width": 160}),
        (2, {"count": 6, "val_count": 5, "height": 64, "width": 96}),
    )
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Folder of the quick look."""
    return tmp_path_factory.mktemp("quick")


@pytest.fixture(scope="module")
def look(out):
    """A quick look at an untrained network."""
    return take_look("random:vit_micro/16", out, device="cpu", trials=SMALL)


def test_every_encoder_has_every_score(look):
    """Your encoder, pixels and the bundled one stand in the table with a score for each benchmark."""
    assert [contender.name for contender in look.contenders] == ["yours", "pixels", "bundled"]
    for trial in SMALL:
        for record in look.records[trial.title].values():
            assert 0 < record.metrics[record.headline].value <= 100
            assert not record.dataset.official


def test_a_report_says_it_in_words(look, capsys):
    """Every benchmark has its verdict, its meaning, and the way on has its cost; the page holds its pictures."""
    text = as_text(look)
    for trial in SMALL:
        assert f"{trial.title}, better than pixels: " in text
        assert trial.meaning in text
    assert "python -m eval davis --checkpoint random:vit_micro/16" in text
    assert "on a GPU" in text


def test_a_strip_shows_how_masks_are_carried(look, out):
    """A row for each encoder and one for the truth, a column for each frame, on the clip where the first two differ most."""
    with Image.open(out / "pictures" / "davis.png") as strip:
        assert strip.width == 3 * (CELL + 6) + 6
        assert strip.height > 4 * CELL * 96 // 160
    assert "on the clip where yours and pixels differ most" in (out / "report.html").read_text(encoding="utf-8")


def test_the_page_is_used_by_keyboard_and_on_a_phone(look, out):
    """The Tab key reaches what scrolls, and nothing is wider than the window."""
    with browser() as tab:
        for size in ((1400, 900), (390, 844)):
            tab.open(out / "report.html", size)
            tab.check_width()
            tab.walk()


def test_it_goes_on_where_it_stopped(tmp_path, capsys):
    """The same look again recomputes nothing, and its page holds pictures and proof."""
    trials = SMALL[1:]
    take_look("pixels/16", tmp_path, device="cpu", trials=trials)
    first = (tmp_path / "yours" / "knn" / "record.json").read_bytes()
    take_look("pixels/16", tmp_path, device="cpu", trials=trials)
    assert (tmp_path / "yours" / "knn" / "record.json").read_bytes() == first
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "")
    assert "fingerprint" in page


def test_the_bundled_encoder_is_small_and_ours():
    """It stays under 5 MB, and tells which recipe made it."""
    assert BUNDLED.stat().st_size < 5_000_000
    loaded = load_encoder(BUNDLED)
    assert loaded.method == "dense contrast"
    assert loaded.pretraining["recipe"]["name"]


def test_a_checkpoint_that_is_not_there_is_an_error(tmp_path, capsys):
    """It is said before anything is drawn."""
    assert main(["quick", str(tmp_path / "none.pth"), "--out", str(tmp_path / "out")]) == 2
    assert "none.pth" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
