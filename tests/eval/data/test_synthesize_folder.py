"""A synthesis is deterministic, whole or noticed as unfinished, and never touches what is not its own."""

import hashlib
import json
import shutil

import pytest

BENCHMARKS = ("images", "davis", "vip", "jhmdb", "ytvos", "coco", "uavdt")


def digest(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_same_seed_same_bytes_other_seed_other_bytes(benchmark, drawn, draw_small, tmp_path):
    assert draw_small(benchmark, tmp_path / "same", "--seed", 0) == 0
    assert draw_small(benchmark, tmp_path / "other", "--seed", 1) == 0
    first, same, other = digest(drawn[benchmark]), digest(tmp_path / "same"), digest(tmp_path / "other")
    assert first == same
    pictures = [name for name in first if name.endswith((".jpg", ".png"))]
    assert pictures
    assert all(first[name] != other[name] for name in pictures if name in other)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_finished_synthesis_is_sound_and_kept(benchmark, drawn, data_command, draw_small, capsys):
    before = digest(drawn[benchmark])
    assert data_command("verify", benchmark, drawn[benchmark]) == 0
    assert f"complete synthetic data (synthetic-{benchmark}, seed 0)" in capsys.readouterr().out
    assert draw_small(benchmark, drawn[benchmark]) == 0
    assert "already complete" in capsys.readouterr().out
    assert digest(drawn[benchmark]) == before


def test_other_parameters_do_not_overwrite(drawn, draw_small, capsys):
    assert draw_small("davis", drawn["davis"], "--seed", 5) == 2
    error = capsys.readouterr().err
    assert "seed 0" in error
    assert "5" in error


def test_a_folder_of_someone_else_is_left_alone(draw_small, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("precious")
    assert draw_small("coco", tmp_path) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_interrupted_synthesis_is_noticed_and_drawn_again(
    drawn, draw_small, data_command, tmp_path, monkeypatch, capsys
):
    from eval.data.synthesize import davis

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(davis, "write_mask", interrupt)
        assert draw_small("davis", tmp_path / "davis") == 130
    assert not (tmp_path / "davis" / "dataset.json").exists()
    assert data_command("verify", "davis", tmp_path / "davis") == 2
    assert "interrupted" in capsys.readouterr().err
    (tmp_path / "davis" / "JPEGImages" / "480p" / "stale").mkdir()
    assert draw_small("davis", tmp_path / "davis") == 0
    assert digest(tmp_path / "davis") == digest(drawn["davis"])


def test_lost_files_are_noticed(drawn, draw_small, data_command, tmp_path, capsys):
    root = shutil.copytree(drawn["images"], tmp_path / "images")
    next(root.rglob("*.jpg")).unlink()
    assert draw_small("images", root) == 2
    assert "8 files" in capsys.readouterr().err
    assert data_command("verify", "images", root) == 2


def test_the_marker_tells_what_was_drawn(drawn):
    for benchmark, root in drawn.items():
        marker = json.loads((root / "dataset.json").read_text())
        assert (marker["name"], marker["benchmark"], marker["seed"]) == (f"synthetic-{benchmark}", benchmark, 0)
    assert marker["sequences"] == {"train": ["M0101", "M0201", "M0202"], "test": ["M0203"]}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("davis", "--frames", 0), "--frames is 0"),
        (("uavdt", "--sequences", 21), "at most 20"),
        (("images", "--classes", 99), "--classes"),
        (("vip", "--frames", 1), "--frames is 1"),
        (("jhmdb", "--width", 8), "--width is 8"),
        (("ytvos", "--frames", 2), "--frames is 2"),
        (("ytvos", "--width", 1_000_000), "--width is 1000000"),
        (("coco", "--seed", -1), "--seed is -1"),
        (("uavdt", "--from-gt", "nowhere"), "nowhere"),
        (("uavdt", "--from-gt", "nowhere", "--plain"), "--plain does not go with --from-gt"),
    ],
)
def test_bad_options(words, named, data_command, tmp_path, capsys):
    benchmark, *options = words
    assert data_command("synthesize", benchmark, tmp_path / "new", *options) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
