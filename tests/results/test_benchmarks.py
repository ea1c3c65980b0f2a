"""Declarations of the benchmarks: what records may hold, and that every other part agrees with it."""

import pytest

from flsl.runtime.errors import UserError
from results.benchmarks import BENCHMARKS, find_benchmark, measured
from results.record import Interval


@pytest.mark.parametrize(
    ("key", "protocol", "headline", "some", "count"),
    [
        ("davis2017", "davis2017/semi-supervised@1", "J&F", {"J", "F_decay"}, 7),
        ("coco", "coco/mask-rcnn_1x-modified@1", "box_AP", {"mask_AP75", "box_ARl"}, 24),
        ("coco", "coco/outside@1", "box_AP", {"box_AP"}, 24),
        ("uavdt", "uavdt/official@1", "AP", {"AP"}, 1),
        ("uavdt", "uavdt/coco@1", "AP", {"AP50", "APl"}, 6),
        ("knn", "knn/bbox@1", "vote_k20", {"any_of_9_k200"}, 8),
        ("ytvos2018", "ytvos2018/dino@1", "G", {"J_seen", "F_unseen"}, 5),
        ("segmentation", "camvid/in-context-hbird_102k@1", "mIoU", {"mIoU_matched"}, 2),
    ],
)
def test_metrics_and_headline_follow_from_the_protocol(key, protocol, headline, some, count):
    benchmark = BENCHMARKS[key]
    names = [metric.name for metric in benchmark.metrics_of(protocol)]
    assert benchmark.headline_of(protocol) == headline
    assert {headline, *some} <= set(names)
    assert len(names) == len(set(names)) == count


def test_measured_takes_unit_and_direction_from_the_declaration():
    interval = Interval(50.0, 60.0)
    found = measured("davis", "davis2017/dino@1", {"J": 55.0, "J_decay": -3.0, "F": None}, {"J": interval})
    assert (found["J"].unit, found["J"].higher_is_better, found["J"].interval) == ("percent", True, interval)
    assert (found["J_decay"].unit, found["J_decay"].higher_is_better) == ("percentage points", False)
    assert found["F"].value is None


@pytest.mark.parametrize(
    ("benchmark", "protocol", "values", "near"),
    [
        ("knn", "knn/bbox@1", {"vote_k2": 1.0}, "vote_k20"),
        ("uavdt", "uavdt/official@1", {"AP50": 1.0}, "AP"),
        ("uavdt", "uavdt/oficial@1", {"AP": 1.0}, "uavdt/official"),
        ("davis2071", "davis2017/dino@1", {"J": 1.0}, "davis2017"),
    ],
)
def test_what_is_not_declared_is_refused_with_the_nearest(benchmark, protocol, values, near):
    with pytest.raises(UserError, match=f"Did you mean '{near}'"):
        measured(benchmark, protocol, values)


def test_benchmarks_are_found_by_key_and_command():
    for benchmark in BENCHMARKS.values():
        assert find_benchmark(benchmark.key) is find_benchmark(benchmark.command) is benchmark


def test_a_table_prints_what_its_records_hold():
    """The columns of the ablation table once had names that no record had, so that nothing could be compared."""
    for benchmark in BENCHMARKS.values():
        for column in (column for table in benchmark.tables for column in table.columns if "@" in column.protocol):
            assert column.metric in benchmark.metrics_of(column.protocol)
