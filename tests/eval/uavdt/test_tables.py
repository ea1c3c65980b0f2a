"""Tables by category, occlusion, out-of-view and sequence attribute."""

import csv

import numpy as np
import pytest
from support import uavdt_reference as reference
from support.uavdt_case import detections_of, random_case, truth_of

from eval.table import write_table
from eval.uavdt.official import score_sequence
from eval.uavdt.sequences import official_sequences
from eval.uavdt.tables import COLUMNS, official_tables


def table_of(pairs):
    return {(row["table"], row["group"]): row for row in official_tables([score_sequence(*pair) for pair in pairs])}


def test_boxes_of_other_categories_are_neither_missed_nor_wrong():
    car, truck = (1, 10, 10, 20, 20, 1, 1, 1), (1, 60, 10, 20, 20, 1, 1, 2)
    found = [(1, 60, 10, 20, 20, 0.9), (1, 60, 10, 20, 20, 0.8), (1, 10, 10, 20, 20, 0.7), (1, 0, 40, 9, 9, 0.6)]
    rows = table_of([(truth_of("M0203", 1, [car, truck]), detections_of("M0203", found))])
    # Cars: both finds of the truck are ignored, so the car is the first detection that counts.
    assert rows["category", "car"]["AP"] == 100
    assert rows["category", "car"]["boxes"] == rows["category", "car"]["found"] == 1
    # Trucks: the first find is right, everything else comes later.
    assert rows["category", "truck"]["AP"] == 100
    assert rows["category", "bus"]["AP"] is None
    assert rows["overall", "all"]["AP"] == pytest.approx(50 + 50 * 2 / 3)


def test_a_detection_of_its_own_box_is_not_lost_to_an_ignored_one():
    """Matching the counted box goes before lying in an ignored one, whatever overlaps more."""
    car, bus = (1, 10, 10, 20, 20, 1, 1, 1), (1, 8, 8, 40, 40, 1, 1, 3)
    found = [(1, 10, 10, 20, 19, 0.9), (1, 30, 30, 10, 10, 0.8)]
    rows = table_of([(truth_of("M0203", 1, [bus, car]), detections_of("M0203", found))])
    assert rows["category", "car"]["AP"] == 100


@pytest.mark.parametrize("seed", range(6))
def test_tables_equal_the_plain_implementation(seed):
    pairs = [random_case(seed, "M0203", ties=True), random_case(seed + 30, "M0801")]
    rows = table_of(pairs)
    groups = {"category": ("car", "truck", "bus"), "occlusion": ("none", "large", "medium", "small")}
    groups["out_of_view"] = ("none", "medium", "small")
    for table, names in groups.items():
        total = 0
        for key, name in enumerate(names, 1):
            counted = [getattr(truth, table) == key for truth, _ in pairs]
            expected = reference.average_precision(pairs, counted)[0]
            assert rows[table, name]["AP"] == pytest.approx(expected, abs=1e-9)
            total += rows[table, name]["boxes"]
        assert total == rows["overall", "all"]["boxes"]
    for index, name in enumerate(("M0203", "M0801")):
        expected = reference.average_precision([pairs[index]])[0]
        assert rows["sequence", name]["AP"] == pytest.approx(expected, abs=1e-9)


def test_sequence_attributes_pool_their_sequences():
    pairs = [random_case(1, "M0203"), random_case(2, "M0205"), random_case(3, "M0209")]
    rows = table_of(pairs)
    assert rows["weather", "night"]["AP"] == pytest.approx(reference.average_precision(pairs[:2])[0], abs=1e-9)
    assert rows["camera_view", "side"]["AP"] == pytest.approx(reference.average_precision(pairs[1:])[0], abs=1e-9)
    assert rows["duration", "long"]["sequences"] == 1
    assert ("weather", "fog") not in rows  # no such sequence here


def test_csv_has_a_header_and_empty_cells(tmp_path):
    scores = [score_sequence(truth_of("M0203", 4, [(1, 0, 0, 9, 9)]), detections_of("M0203"))]
    path = write_table(tmp_path / "tables.csv", official_tables(scores))
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    bus = next(row for row in rows if row["group"] == "bus")
    assert (bus["boxes"], bus["AP"]) == ("0", "")
    assert float(rows[0]["AP"]) == 0


def test_official_lists():
    sequences = official_sequences()
    test = [s for s in sequences.values() if s.split == "test"]
    assert (len(sequences), len(test)) == (50, 20)
    assert sum(s.frames for s in test) == 16592
    assert sum(s.boxes for s in test) == 375884
    assert [s.name for s in test] == sorted(s.name for s in test)
    assert not np.isin(["M0203", "M0208"], [s.name for s in sequences.values() if s.split == "train"]).any()
    assert all({"weather", "altitude", "camera_view"} <= s.attributes.keys() for s in test)


def test_official_lists_are_those_of_the_data_folder(data_dir):
    for split in ("train", "test"):
        names = (data_dir / "uavdt" / f"{split}_sequences.txt").read_text().split()
        assert names == [s.name for s in official_sequences().values() if s.split == split]
