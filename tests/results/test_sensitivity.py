"""`python -m results sensitivity`: the same checkpoints by several protocols, and how far the orders agree."""

from dataclasses import replace

import pytest
from scipy.stats import kendalltau
from support.records import record

from results.__main__ import main
from results.leaderboard import build_leaderboard
from results.record import Interval, Metric
from results.sensitivity import sensitivities
from results.store import write_record

SCORES = {  # checkpoint -> in context, linear, clusters; one lacks the last
    "a": (30.0, 50.0, 20.0),
    "b": (40.0, 45.0, 21.0),
    "c": (50.0, 60.0, 22.0),
    "d": (50.0, 61.0, 23.0),
    "e": (20.0, 30.0, None),
}
PROTOCOLS = {
    "camvid/in-context-hbird@1": "mIoU",
    "camvid/linear-leopart@1": "mIoU",
    "camvid/overclustering-leopart@1": "mIoU_K500",
}


def records(scores=SCORES, width=0.5):
    for number, (name, values) in enumerate(scores.items()):
        for (protocol, metric), value in zip(PROTOCOLS.items(), values):
            if value is None:
                continue
            interval = Interval(value - width, value + width, unit="images", units=101)
            yield record(
                name=name, fingerprint=f"{number:064x}", benchmark="segmentation", protocol=protocol, split="val",
                metrics={metric: Metric(value, interval=interval)}, headline=metric, config={"protocol": protocol},
                per_item={}, item="images", items_expected=101, items_evaluated=101,
            )  # fmt: skip


def compared(made):
    return sensitivities(build_leaderboard({f"{number}.json": one for number, one in enumerate(made)}).rows)


def test_tau_is_that_of_scipy_over_the_shared_checkpoints():
    (table,) = compared(records())
    assert table.protocols == tuple(PROTOCOLS)
    assert table.models[-1] == "e"
    by_pair = {(found.first, found.second): found for found in table.agreements}
    assert len(by_pair) == 3
    for (first, second), found in by_pair.items():
        columns = [list(PROTOCOLS).index(protocol) for protocol in (first, second)]
        pairs = [[values[c] for c in columns] for values in SCORES.values() if None not in [values[c] for c in columns]]
        assert found.models == len(pairs)
        assert found.tau == pytest.approx(kendalltau(*zip(*pairs)).statistic)


def test_swapped_pairs_are_named_and_decided_by_intervals():
    (table,) = compared(records())
    found = next(f for f in table.agreements if "linear" in f.second and "in-context" in f.first)
    assert (found.swapped, found.decided) == ((("b", "a"),), 1)
    (table,) = compared(records(width=4.0))  # 45 and 50 are not apart then
    found = next(f for f in table.agreements if "linear" in f.second and "in-context" in f.first)
    assert (len(found.swapped), found.decided) == (1, 0)


def test_what_cannot_be_compared_is_left_out():
    made = list(records())
    twice = next(one for one in made if one.model.name == "a")
    (table,) = compared([*made, record(**{**vars(twice), "config_sha256": "ab" * 32})])
    assert any("a by camvid/in-context-hbird@1: 2 recipes" in sentence for sentence in table.left_out)
    assert ("a", "camvid/in-context-hbird@1") not in table.rows
    assert not compared(one for one in made if one.model.name == "a")
    assert not compared(one for one in made if "linear" in one.protocol)


@pytest.mark.parametrize("form", ["terminal", "md", "csv"])
def test_the_command_explains_itself(form, tmp_path, capsys):
    for number, one in enumerate(records()):
        write_record(one, tmp_path / str(number) / "record.json")
    assert main(["sensitivity", "--records", str(tmp_path), "--format", form]) == 0
    said = capsys.readouterr().out
    assert "+0.74" in said or "0.7378" in said
    assert ("Kendall" in said or "tau compares" in said) or form == "csv"
    if form == "csv":
        assert said.splitlines()[0].startswith("data,protocol,compared_with,checkpoints,tau")
        assert len(said.splitlines()) == 4


def test_a_checkpoint_of_several_seeds_is_one_whatever_protocol_scored_more_of_them():
    """By the first protocol both seeds of a, by the second only the other one."""
    made = [replace(one, model=replace(one.model, source="random:vit_mini/16")) for one in records()]
    other = [replace(one, seed=1, model=replace(one.model, fingerprint="f" * 64)) for one in made[:2]]
    (table,) = compared([made[0], *other, *made[2:]])
    assert table.models.count("a") == 1
    assert all(agreement.models == 5 for agreement in table.agreements[:1])


def test_checkpoints_of_one_name_that_share_no_training_are_two():
    made = [
        replace(one, model=replace(one.model, name="a", fingerprint="f" * 64)) if one.model.name == "b" else one
        for one in records()
    ]
    (table,) = compared(made)
    assert {"a (00000000)", "a (ffffffff)"} < set(table.models)
    assert table.agreements[0].models == 5


def test_nothing_to_compare_is_explained(tmp_path, capsys):
    write_record(record(), tmp_path / "record.json")
    assert main(["sensitivity", "--records", str(tmp_path)]) == 2
    assert "at least two protocols" in capsys.readouterr().err


def test_what_was_left_out_is_said_where_nothing_remains(tmp_path, capsys):
    made = [one for one in records() if one.model.name in "ab"]
    twice = [replace(one, config=one.config | {"again": True}) for one in made]
    for number, one in enumerate([*made, *twice]):
        write_record(one, tmp_path / str(number) / "record.json")
    assert main(["sensitivity", "--records", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("2 recipes, so none is compared") == 6
