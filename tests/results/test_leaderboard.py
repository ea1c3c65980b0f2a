"""The leaderboard: what ranks with what, whatever the order; nothing partial; deterministic files; errors."""

import csv
import dataclasses
import random
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from results.compare import compare_records
from results.leaderboard import board_of, build_leaderboard, to_csv
from results.record import Interval, Metric
from results.store import write_record


def rows_of(records):
    return build_leaderboard({Path(f"{index}.json"): record for index, record in enumerate(records)})


def random_records(make_record, davis_scores, generator, count=60):
    """Records over few models, protocols, data sets and seeds, so that many share a row, a board or neither."""
    records = []
    for _ in range(count):
        model = generator.choice("abcd")
        j = generator.choice([40.0, 50.0, 60.0, generator.uniform(10, 90)])
        status = generator.choice(["complete", "complete", "complete", "partial", "failed"])
        records.append(
            make_record(
                name=model,
                fingerprint=(model * 64)[:64],
                metrics=davis_scores(j, generator.uniform(10, 90)),
                protocol=generator.choice(["davis2017/dino@1", "davis2017/dino@2", "davis2017/videowalk@1"]),
                split=generator.choice(["val", "mini"]),
                official=generator.random() < 0.5,
                seed=generator.randrange(3),
                status=status,
                items_evaluated=30 if status == "complete" else generator.randrange(30),
            )
        )
    return records


@pytest.mark.parametrize("seed", range(20))
def test_properties_of_random_record_sets(make_record, davis_scores, seed):
    generator = random.Random(seed)
    records = random_records(make_record, davis_scores, generator)
    board = rows_of(records)
    shuffled = records[:]
    generator.shuffle(shuffled)
    assert to_csv(rows_of(shuffled).rows) == to_csv(board.rows)  # order does not matter
    complete = [record for record in records if record.status == "complete"]
    assert to_csv(rows_of(complete).rows) == to_csv(board.rows)  # partial and failed records change nothing
    keys = set()
    for row in board.rows:
        assert all(record.status == "complete" for record in row.records)
        assert {board_of(record) for record in row.records} == {row.board}  # one protocol version, one data set
        assert {(record.model.name, record.model.fingerprint) for record in row.records} == {
            (row.model, row.fingerprint)
        }
        assert min(r.metrics["J&F"].value for r in row.records) - 1e-9 <= row.value
        assert row.value <= max(r.metrics["J&F"].value for r in row.records) + 1e-9
        keys.add((row.board, row.model, row.fingerprint))
    assert len(keys) == len(board.rows)
    official = [row.official for row in board.rows]
    assert official == sorted(official, reverse=True)
    for name in {row.board for row in board.rows}:
        members = [row for row in board.rows if row.board == name]
        for position, row in enumerate(members, start=1):  # two items each: 95 % intervals decide
            first = members[row.rank - 1]
            assert row is first or (row.interval_high >= first.interval_low and row.value <= first.value)
            assert row.rank == position or row.rank == members[position - 2].rank
    assert len(board.left_out) >= sum(record.status != "complete" for record in records)


def test_ranks_best_first_with_ties(make_record, davis_scores):
    scores = {"a": 50.0, "b": 70.0, "c": 50.0, "d": 40.0}
    records = [make_record(name=name, metrics=davis_scores(j, j)) for name, j in scores.items()]
    assert [(row.model, row.rank) for row in rows_of(records).rows] == [("b", 1), ("a", 2), ("c", 2), ("d", 4)]


def test_ranks_lowest_first_where_lower_is_better(make_record):
    records = [
        make_record(name=name, metrics={"error": Metric(value, higher_is_better=False)}, protocol="knn/bbox@1")
        for name, value in (("a", 30.0), ("b", 20.0))
    ]
    assert [row.model for row in rows_of(records).rows] == ["b", "a"]


def scored(make_record, scores, name, **changes):
    """A record of sequences with given J&F, and no interval."""
    per_item = {f"sequence {index}": {"J&F": float(score)} for index, score in enumerate(scores)}
    return make_record(name=name, per_item=per_item, metrics={"J&F": Metric(float(np.mean(scores)))}, **changes)


def test_a_rank_is_shared_until_the_paired_comparison_decides(make_record):
    generator = np.random.default_rng(0)
    base = generator.uniform(10, 90, 30)  # items differ by far more than models
    models = {"best": base + 3, "as good": base + 3 - generator.normal(0.1, 3, 30), "worse": base, "floor": base - 8}
    rows = rows_of([scored(make_record, scores, name) for name, scores in models.items()]).rows
    assert [(row.model, row.rank) for row in rows] == [("best", 1), ("as good", 1), ("worse", 3), ("floor", 4)]
    assert re.fullmatch(r"not shown to be worse than best: p = [\d.]+, paired over 30 items", rows[1].rank_note)
    assert rows[2].rank_note == ""


def test_a_model_that_is_better_item_by_item_is_not_worse(make_record):
    """Whatever the benchmark's own score, which may weigh items otherwise, says."""
    items = np.linspace(10, 80, 30)
    records = [
        dataclasses.replace(scored(make_record, items + shift, name), metrics={"J&F": Metric(whole)})
        for name, shift, whole in (("a", 0, 60.0), ("b", 5, 50.0))
    ]
    assert [(row.model, row.rank) for row in rows_of(records).rows] == [("a", 1), ("b", 1)]


def test_models_far_apart_never_share_a_rank_however_many_there_are(make_record):
    """No p-value of 10,000 resamples is below the level of 250 comparisons: 20 shared the rank of 60."""
    noise = np.random.default_rng(0).normal(size=(260, 20))
    records = [scored(make_record, 60 - 40 * (i % 2) + noise[i], f"{i}", fingerprint=f"{i:064}") for i in range(260)]
    rows = rows_of(records).rows
    assert [row.rank for row in rows[:130]] == [1] * 130
    assert min(row.rank for row in rows[130:]) > 130


def test_of_more_rows_each_needs_more_proof(make_record):
    generator = np.random.default_rng(0)
    base = generator.uniform(10, 90, 30)
    behind = base + generator.normal(-2, 3, 30)  # p = 0.04
    alone = rows_of([scored(make_record, base, "best"), scored(make_record, behind, "behind")]).rows
    assert [row.rank for row in alone] == [1, 2]
    others = [scored(make_record, base - 20 - n, f"floor {n}") for n in range(3)]
    among = rows_of([scored(make_record, base, "best"), scored(make_record, behind, "behind"), *others]).rows
    assert [row.rank for row in among[:3]] == [1, 1, 3]
    p = compare_records(among[0].records[0], among[1].records[0]).p
    assert f"p = {4 * p:.2f}," in among[1].rank_note  # for four rows below the first
    alike = rows_of([scored(make_record, base, "a"), scored(make_record, base[::-1] - 0.01, "b"), *others]).rows
    assert "p = 1.00," in alike[1].rank_note


@pytest.mark.parametrize(("value", "ranks"), [(21.5, [1, 1]), (30.0, [1, 2])])
@pytest.mark.parametrize("higher", [True, False])
def test_without_items_intervals_that_do_not_meet_decide(make_record, value, ranks, higher):
    records = [
        make_record(
            name=str(score),
            metrics={"error": Metric(score, higher_is_better=higher, interval=Interval(score - 1, score + 1))},
            protocol="knn/bbox@1",
        )
        for score in (20.0, value)
    ]
    assert [row.rank for row in rows_of(records).rows] == ranks


def test_nothing_decides_over_a_handful_of_items_without_intervals(make_record):
    rows = rows_of([scored(make_record, [80.0] * 4, "a"), scored(make_record, [10.0] * 4, "b")]).rows
    assert [row.rank for row in rows] == [1, 1]
    assert "no interval and no scores" in rows[1].rank_note


def test_encoders_that_only_the_seed_tells_apart_are_one_model(make_record, davis_scores):
    def pretrained(seed, j, epochs=10):
        pretraining = {"epochs": epochs, "recipe": {"seed": seed, "training": {"epochs": epochs}}}
        return make_record(fingerprint=f"{seed}{epochs}", pretraining=pretraining, metrics=davis_scores(j, j))

    rows = rows_of([pretrained(0, 50.0), pretrained(1, 54.0), pretrained(2, 58.0), pretrained(0, 51.0, epochs=5)]).rows
    assert [(row.score, row.seeds) for row in rows] == [("54.0 ± 4.0", 3), ("51.0", 1)]
    assert (rows[0].covers, rows[1].covers) == ("over 30 sequences, mean of 3 seeds", "over 30 sequences, one training")


def test_what_changes_no_result_of_a_pretraining_splits_no_row(make_record, davis_scores):
    def pretrained(seed, workers):
        recipe = {"training": {"seed": seed}, "runtime": {"workers": workers}, "probe": {"epochs": workers}}
        return make_record(fingerprint=f"{seed}", pretraining={"recipe": recipe}, metrics=davis_scores(50 + seed, 50))

    assert [row.seeds for row in rows_of([pretrained(0, 0), pretrained(1, 4)]).rows] == [2]


def test_an_encoder_scored_again_by_a_seed_that_draws_nothing_is_no_second_training(make_record, davis_scores):
    again = [make_record(seed=seed, metrics=davis_scores(50, 50)) for seed in range(3)]
    (row,) = rows_of(again).rows
    assert (row.seeds, row.seed_std, row.score, row.covers) == (1, None, "50.0", "over 30 sequences, one training")
    others = [make_record(seed=seed, fingerprint=f"{seed}", metrics=davis_scores(50, 50)) for seed in range(3)]
    assert [row.seeds for row in rows_of(others).rows] == [1, 1, 1]


def test_seeds_become_one_row_with_mean_and_deviation(make_record, davis_scores):
    records = [make_record(seed=seed, metrics=davis_scores(j, j)) for seed, j in enumerate((50.0, 52.0, 54.0))]
    (row,) = rows_of(records).rows
    assert (row.value, row.seeds, row.seed_std) == (52.0, 3, 2.0)
    assert (row.interval_low, row.interval_high) == (50.0, 54.0)
    assert row.metrics["J"] == 52.0


def test_what_one_seed_lacks_the_row_lacks(make_record, davis_scores):
    records = [make_record(seed=seed, metrics=davis_scores(j, j)) for seed, j in enumerate((50.0, 52.0, 54.0))]
    del records[1].metrics["J"]
    records[1].metrics["J&F"] = Metric(52.0)  # without its interval
    (row,) = rows_of(records).rows
    assert (row.value, row.metrics["F"], "J" in row.metrics) == (52.0, 52.0, False)
    assert (row.interval_low, row.interval_high) == (None, None)


def test_equal_copies_count_once_and_contradictions_are_left_out(make_record, davis_scores):
    copy, other = make_record(), make_record(metrics=davis_scores(10.0, 10.0))
    assert rows_of([copy, copy]).rows[0].seeds == 1
    board = rows_of([copy, other, make_record(name="b")])
    assert [row.model for row in board.rows] == ["b"]
    assert "0.json, 1.json" in board.left_out[0]
    assert "different scores" in board.left_out[0]


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "davis2017/dino@2"},
        {"dataset": "other"},
        {"split": "mini"},
        {"official": False},
        {"annotation_sha256": "00" * 32},
        {"train_sha256": "00" * 32},
        {"items_expected": 29, "items_evaluated": 29},
    ],
)
def test_other_protocols_and_data_have_their_own_ranking(make_record, davis_scores, change):
    if "dataset" in change:
        other = make_record()
        other = make_record(
            name="b", dataset=type(other.dataset)("davis-copy", "val", True, 30, 30, "sequences", "cd" * 32)
        )
    else:
        other = make_record(**{"name": "b", **change})
    assert [row.rank for row in rows_of([make_record(), other]).rows] == [1, 1]


def test_rankings_that_read_alike_say_what_their_data_are_known_by(make_record, write_records, cli, tmp_path):
    records = [make_record(train_sha256=digest * 32) for digest in ("12", "34")]
    code, out, _ = cli("leaderboard", "--records", write_records(*records), "--out", tmp_path / "l.csv")
    assert code == 0
    titles = [
        f"DAVIS 2017 val, 30 sequences, annotations cdcdcdcd, learned from {digest * 4}" for digest in ("12", "34")
    ]
    assert [line for line in out.splitlines() if "30 sequences, a" in line] == [
        f"{t} (davis2017/dino@1)" for t in titles
    ]
    page = (tmp_path / "l.html").read_text()
    assert all(page.count(f'"{title}"') == 1 for title in titles)


def test_one_encoder_fine_tuned_in_two_ways_has_two_rows(make_record, write_records, davis_scores, cli, tmp_path):
    folder = write_records(
        make_record(config={"epochs": 12}), make_record(config={"epochs": 1}, metrics=davis_scores(20.0, 20.0))
    )
    code, out, _ = cli("leaderboard", "--records", folder, "--out", tmp_path / "l.csv")
    assert (code, out.count("flsl s16 (recipe ")) == (0, 2)
    rows = list(csv.DictReader((tmp_path / "l.csv").open()))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert rows[0]["recipe"] != rows[1]["recipe"]


@pytest.mark.parametrize(("units", "shown"), [(1, False), (4, False), (5, True)])
def test_below_five_units_there_is_no_interval(make_record, davis_scores, units, shown):
    (row,) = rows_of([make_record(metrics=davis_scores(units=units))]).rows
    assert (row.interval_low is not None, row.covers != "") == (shown, shown)


def test_files_are_the_same_bytes_again_and_from_renamed_records(
    make_record, davis_scores, write_records, cli, tmp_path
):
    folder = write_records(*random_records(make_record, davis_scores, random.Random(5), 40))
    outputs = []
    for name in ("a", "b"):
        assert cli("leaderboard", "--records", folder, "--out", tmp_path / f"{name}.csv")[0] == 0
        outputs.append((tmp_path / f"{name}.csv").read_bytes())
    other = tmp_path / "renamed"
    for index, path in enumerate(sorted(folder.rglob("record.json"), reverse=True)):
        (other / str(index % 3)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, other / str(index % 3) / f"record_{index}.json")
    assert cli("leaderboard", "--records", other, "--out", tmp_path / "c.csv")[0] == 0
    assert outputs[0] == outputs[1] == (tmp_path / "c.csv").read_bytes()
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_columns_are_fixed(make_record, write_records, cli, tmp_path):
    cli("leaderboard", "--records", write_records(make_record()), "--out", tmp_path / "l.csv")
    header = (tmp_path / "l.csv").read_text().splitlines()[0]
    assert header == (
        "benchmark,protocol,dataset,split,official,annotation_sha256,train_sha256,rank,model,method,architecture,patch_size,"
        "parameters,fingerprint,recipe,headline,value,interval_low,interval_high,seeds,seed_std,items,item,"
        "J&F,J,F,box_AP,box_AP50,box_AP75,mask_AP,mask_AP50,mask_AP75,AP,AP50,AP75,mIoU,mIoU_K500,PCK@0.1,PCK@0.2"
    )


def test_names_what_was_broken_or_partial_and_goes_on(make_record, write_records, cli, tmp_path):
    folder = write_records(make_record(), make_record(items_evaluated=2, status="partial"))
    (folder / "record_broken.json").write_text("{")
    code, out, err = cli("leaderboard", "--records", folder, "--out", tmp_path / "l.csv")
    assert code == 0
    assert "record_broken.json" in err
    assert "run1" in err
    assert "2 of 30" in err
    assert "1 row" in out
    assert len((tmp_path / "l.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("case", ["missing", "empty", "broken", "suffix"])
def test_nothing_to_rank_is_an_error(tmp_path, case, cli):
    folder = tmp_path / "records"
    if case != "missing":
        folder.mkdir()
    if case == "broken":
        (folder / "record.json").write_text("{}")
    out = tmp_path / ("l.txt" if case == "suffix" else "l.csv")
    code, _, err = cli("leaderboard", "--records", folder, "--out", out)
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
    assert str(out if case == "suffix" else folder) in err
    assert not out.exists()


def test_a_thousand_records_take_under_three_seconds(make_record, davis_scores, tmp_path, cli):
    generator = random.Random(0)
    per_item = {f"sequence-{i}": {"J&F": 50.0, "J": 40.0, "F": 60.0} for i in range(30)}
    template = write_record(make_record(per_item=per_item), tmp_path / "template.json").read_text()
    (tmp_path / "records").mkdir()
    for index in range(1000):
        text = template.replace("flsl s16", f"model {index % 250}").replace(
            '"seed": 0,\n "timing"', f'"seed": {index // 250},\n "timing"'
        )
        (tmp_path / "records" / f"record_{generator.random()}.json").write_text(text)
    start = time.process_time()  # other programs may be busy on this machine
    code, out, _ = cli("leaderboard", "--records", tmp_path / "records", "--out", tmp_path / "l.csv")
    assert time.process_time() - start < 3.0
    assert code == 0
    assert "250 rows from 1000 records" in out


@pytest.mark.parametrize("width", [80, 160])
def test_rank_model_headline_and_interval_have_room_in_every_terminal(
    make_record, coco_scores, write_records, cli, tmp_path, monkeypatch, width
):
    metrics = coco_scores() | {"box_AP": Metric(44.7, interval=Interval(43.0, 46.0, unit="images", units=100))}
    coco = {"benchmark": "coco", "protocol": "coco/mask-rcnn_1x@1", "metrics": metrics, "item": "images"}
    coco |= {"items_expected": 100, "items_evaluated": 100}
    folder = write_records(*(make_record(name=f"a model of some length {i}", seed=i % 2, **coco) for i in range(4)))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    out = re.sub(r"\x1b\[[\d;]*m", "", cli("leaderboard", "--records", folder, "--out", tmp_path / "l.csv")[1])
    lines = [line for line in out.splitlines() if line.startswith(("│", "┃"))]
    assert max(map(len, lines)) <= width
    assert re.search(r"┃ rank ┃ model +┃ box_AP ┃ 95 % interval ┃", lines[0])
    assert re.search(r"│ +1 │ a model of some length 0 │ +44.7 │ 43.0 to 46.0 +│", lines[1])
    assert ("no room for" in out) == (width == 80) == ("architecture" not in lines[0])
    assert "intervals over 100 images, one training" in out.replace("\n", " ")
