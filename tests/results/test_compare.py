"""Paired comparison: known differences are found, equal models are not told apart, other items are refused."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from flsl.runtime.errors import UserError
from results.compare import compare_groups, compare_records, holm, item_scores, spread_of_trainings
from results.record import Metric
from results.store import read_record


@pytest.fixture
def scored(make_record):
    """A record whose sequences have given J scores."""

    def make(scores, name="model", **changes):
        per_item = {f"sequence-{index:02}": {"J": float(score)} for index, score in enumerate(scores)}
        return make_record(name=name, per_item=per_item, **changes)

    return make


def test_finds_a_difference_that_is_the_same_on_every_item(scored):
    base = np.random.default_rng(0).uniform(20, 80, 30)
    found = compare_records(scored(base + 1.0, "a"), scored(base, "b"), "J")
    assert (found.a, found.b, found.items, found.better) == ("a", "b", 30, 30)
    assert found.difference == pytest.approx(1.0)
    assert found.low == pytest.approx(1.0)
    assert found.p < 0.001


def test_pairing_finds_what_unpaired_intervals_hide(scored):
    generator = np.random.default_rng(1)
    base = generator.uniform(10, 90, 30)
    found = compare_records(scored(base + generator.normal(2, 1, 30)), scored(base), "J")
    assert found.low > 0
    assert found.p < 0.001
    assert base.std() / np.sqrt(30) > 2  # the spread between items is larger than the difference


def test_p_of_equal_models_is_about_uniform(scored):
    generator = np.random.default_rng(2)
    ps = []
    for _ in range(200):
        base = generator.uniform(20, 80, 40)
        other = base + generator.normal(0, 3, 40)
        ps.append(compare_records(scored(other), scored(base), "J", resamples=400).p)
    assert 0.01 <= np.mean(np.array(ps) < 0.05) <= 0.12
    assert 0.4 < np.mean(ps) < 0.6


@pytest.mark.parametrize(("trainings", "models"), [(2, 2), (3, 2), (2, 6)])
def test_two_models_whose_trainings_scatter_are_rarely_found_to_differ(scored, trainings, models):
    """Trainings scatter by 2 points and items hardly matter: redrawing 2 and 2 trainings found differences in a third of all cases."""
    generator = np.random.default_rng(4)
    items, found = generator.uniform(20, 80, 40), []
    for _ in range(150):
        records = [
            [scored(items + generator.normal(0, 2) + generator.normal(0, 1, 40)) for _ in range(trainings)]
            for _ in range(models)
        ]
        spread = spread_of_trainings(item_scores(records, "J"))
        found.append(compare_groups(records[0], records[1], "J", spread=spread, resamples=400))
    assert np.mean([one.p < 0.05 for one in found]) <= 0.08
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.92


def test_several_trainings_that_agree_still_find_a_difference(scored):
    generator = np.random.default_rng(5)
    base = generator.uniform(20, 80, 40)
    sides = [[scored(base + shift + generator.normal(0, 1, 40)) for _ in range(4)] for shift in (2, 0)]
    found = compare_groups(*sides, "J")
    assert found.low > 0
    assert found.p < 0.01


def test_one_training_of_several_has_their_chance_too(scored):
    """Two trainings of A lie 2 apart: the only one of B's that is there is as far from B's mean as any of them."""
    items = np.arange(40.0)
    sides = [scored(items + 20), scored(items + 22)], [scored(items + 20)]
    fixed, drawn = (compare_groups(*sides, "J", trained=trained) for trained in ((), (True, True)))
    assert (drawn.high - drawn.low) / (fixed.high - fixed.low) == pytest.approx(3**0.5, rel=0.1)


def test_fewer_is_better_where_the_metric_says_so(scored, make_record, write_records, cli, davis_scores):
    def decaying(decay, name):
        metrics = davis_scores(60, 64) | {"J_decay": Metric(decay, "percentage points", higher_is_better=False)}
        per_item = {f"clip {number}": {"J_decay": decay + number / 10} for number in range(12)}
        return make_record(name=name, metrics=metrics, headline="J&F", per_item=per_item)

    folder = write_records(decaying(5.0, "steady"), decaying(9.0, "losing"))
    _, out, _ = cli("compare", folder / "run0", folder / "run1", "--metric", "J_decay")
    assert "steady is better than losing in J_decay" in out
    assert "12 of 12 items" in out


@pytest.mark.parametrize(("count", "smallest"), [(2, 0.5), (3, 0.25), (5, 0.0625)])
def test_a_handful_of_items_that_agree_proves_nothing(scored, count, smallest):
    found = compare_records(scored(np.arange(count) + 50.0), scored(np.arange(count)), "J")
    assert found.p == smallest
    assert f"only {count} items" in found.note
    assert (found.interval == "no interval") == (count < 5)


@pytest.mark.parametrize("count", [6, 10, 16, 24])
def test_p_of_equal_models_on_few_items_is_as_rarely_small_as_it_says(scored, count):
    """Percentiles of plain resamples were below 0.05 in 14, 10 and 8 of 100 cases on 6, 10 and 16 items."""
    generator = np.random.default_rng(6)
    ps = []
    for _ in range(400):
        base = generator.uniform(20, 80, count)
        ps.append(compare_records(scored(base + generator.normal(0, 3, count)), scored(base), "J", resamples=400).p)
    assert np.mean(np.array(ps) < 0.05) <= 0.07
    assert np.mean(np.array(ps) < 0.2) == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize("count", [6, 10])
def test_intervals_over_few_items_cover_as_often_as_they_say(scored, count):
    """Plain percentiles cover 86 and 89 of 100 on 6 and 10 items."""
    generator = np.random.default_rng(7)
    found = []
    for _ in range(1000):
        base = generator.uniform(20, 80, count)
        found.append(compare_records(scored(base + generator.normal(1, 3, count)), scored(base), "J", resamples=400))
    assert np.mean([one.low <= 1 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)


def test_p_on_few_items_is_that_of_all_patterns_of_signs(scored):
    """Checked against scipy's permutation test; ties count as being as far."""
    differences = np.array([12.0, 9.0, 7.0, 17.0, 3.0, 5.0, -2.0, 0.0, 8.0, -2.0])
    exact = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    found = compare_records(scored(differences + 50), scored(np.full(10, 50.0)), "J")
    assert found.p == pytest.approx(exact.pvalue)


@pytest.mark.parametrize(("worse", "better"), [(3, 5), (10, 20)])
def test_right_and_wrong_answers_are_compared_as_by_mcnemar(scored, worse, better):
    """Of 127 images few are told apart: the others hold no evidence, however many. Of 30 not all patterns are tried."""
    a, b = np.full(127, 100.0), np.full(127, 100.0)
    a[:worse], b[worse : worse + better] = 0, 0
    exact = stats.binomtest(worse, worse + better).pvalue
    assert compare_records(scored(a), scored(b), "J").p == pytest.approx(exact, rel=0.1 if better == 20 else 1e-6)


def test_the_benchmarks_own_score_is_said_with_several_trainings_too(scored, davis_scores):
    base = np.arange(12.0)
    sides = (
        [scored(base + shift + seed, metrics=davis_scores(whole + seed)) for seed in range(3)]
        for shift, whole in ((60, 66.0), (50, 55.0))
    )
    assert "differs by +11.00" in compare_groups(*sides, "J").note


def test_swapping_the_records_turns_the_sign(scored):
    generator = np.random.default_rng(3)
    a, b = scored(generator.uniform(0, 100, 12), "a"), scored(generator.uniform(0, 100, 12), "b")
    one, other = compare_records(a, b, "J"), compare_records(b, a, "J")
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert one.p == other.p
    assert compare_records(a, b, "J") == one
    turned = dataclasses.replace(a, per_item=dict(reversed(a.per_item.items())))
    assert compare_records(turned, b, "J") == one  # in whatever order a record has its items


def test_holm_as_in_the_textbook(scored):
    template = compare_records(scored([1.0, 2.0]), scored([1.0, 1.0]), "J")
    ps = [0.01, 0.04, 0.03, 0.005]
    corrected = [c.p_holm for c in holm([dataclasses.replace(template, p=p) for p in ps])]
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [c.p_holm for c in holm([dataclasses.replace(template, p=p) for p in (0.6, 0.9)])] == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol": "davis2017/dino@2"}, "protocol differs"),
        ({"split": "mini"}, "data set differs"),
        ({"annotation_sha256": "00"}, r"annotations differ \("),
        ({"train_sha256": "00"}, r"training data differ \(unknown and 00\)"),
    ],
)
def test_other_protocols_and_data_are_refused(scored, change, words):
    with pytest.raises(UserError, match=words):
        compare_records(scored([1.0, 2.0]), scored([1.0, 2.0], **change), "J")


def test_other_items_and_metrics_are_refused(scored, make_record):
    with pytest.raises(UserError, match="sequence-02"):
        compare_records(scored([1.0, 2.0, 3.0]), scored([1.0, 2.0]), "J")
    with pytest.raises(UserError, match="'J&F'"):
        compare_records(scored([1.0]), scored([1.0]))
    with pytest.raises(UserError, match="no scores of single items"):
        compare_records(make_record(per_item={}), scored([1.0]), "J")


def test_says_when_the_benchmarks_score_weighs_items_otherwise(scored, davis_scores):
    base = np.arange(12.0)
    a, b = scored(base + 60, metrics=davis_scores(66.0)), scored(base + 50, metrics=davis_scores(55.0))
    assert "differs by +11.00" in compare_records(a, b, "J").note
    assert compare_records(a, scored(base + 49, metrics=davis_scores(55.0)), "J").note == ""


def test_command_corrects_for_several_and_says_it_in_words(scored, write_records, cli):
    base = np.random.default_rng(4).uniform(20, 80, 30)
    noise = np.random.default_rng(5).normal(0, 3, 30)
    folder = write_records(scored(base + 5, "best"), scored(base, "other"), scored(base + 5 + noise, "equal"))
    code, out, _ = cli("compare", folder / "run0", folder / "run1" / "record.json", folder / "run2", "--metric", "J")
    assert code == 0
    assert "best is better than other in J (p = 0.000" in out
    assert "best is not shown to differ from equal" in out
    assert "30 of 30" in out


def test_too_few_resamples_for_so_many_comparisons_are_refused(scored, write_records, cli):
    """With 100 no p-value is below 0.05 after the correction of three: a model 20 points better was not shown to be."""
    base = np.random.default_rng(4).uniform(20, 60, 30)
    folder = write_records(scored(base + 20, "best"), *(scored(base, f"other {i}") for i in range(3)))
    runs = [folder / f"run{i}" for i in range(4)]
    code, _, err = cli("compare", *runs, "--metric", "J", "--resamples", 100)
    assert (code, "--resamples is 100, but must be 300" in err) == (2, True)
    assert cli("compare", *runs, "--metric", "J", "--resamples", 300)[1].count("best is better than") == 3


OURS = {"data": "photographs", "images": 5060, "steps": 474, "batch_size": 32, "format": "own"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            OURS | {"data": "in1k", "images": 1281167},
            "pretrained on other data: a on photographs (5,060 images, 15,168 seen), b on in1k (1,281,167 images, 15,168 seen)",
        ),
        ({"data": "in1k"}, "pretrained on other data: a on photographs (5,060 images, 15,168 seen), b on in1k\n"),
        (OURS | {"images": 4292}, "pretrained on other data"),
        (
            OURS | {"steps": 948},
            "pretrained by other numbers of images: a on photographs (5,060 images, 15,168 seen), b on ph",
        ),
        (
            {"format": "dino"},
            "perhaps pretrained on other data: a on photographs (5,060 images, 15,168 seen), b on what its",
        ),
        (OURS | {"steps": 475}, None),
        (OURS, None),
        ({"format": "random"}, None),
        ({"format": "pixels"}, None),
    ],
)
def test_other_pretraining_data_are_said_beside_the_verdict(scored, write_records, cli, other, words):
    """What is better by more or other data is not said to be better without that."""
    base = np.arange(30.0)
    folder = write_records(scored(base + 5, "a", pretraining=OURS), scored(base, "b", pretraining=other))
    _, out, _ = cli("compare", folder / "run0", folder / "run1", "--metric", "J")
    assert "a is better than b in J (p = 0.0002)" in out
    assert words in out if words else "pretrained" not in out


def test_nothing_is_said_of_pretraining_that_nobody_knows(scored):
    records = [scored(np.arange(12.0), name, pretraining={"format": "dino"}) for name in "ab"]
    assert compare_records(*records, "J").notes == ""


def test_records_of_one_name_are_told_apart_by_their_files(scored, write_records, cli):
    folder = write_records(scored(range(12)), scored(range(1, 13), seed=1))
    _, out, _ = cli("compare", folder / "run0", folder / "run1", "--metric", "J")
    assert f"model ({folder / 'run0'}) is worse than model ({folder / 'run1'})" in out


@pytest.mark.parametrize("given", ["{0} {1}/record.json", "{0} {2}", "{0},{3} {0}", "{3} {0} {1},{4}"])
def test_a_record_is_not_compared_with_itself(scored, write_records, cli, given):
    """It was found not to differ from itself, p = 1."""
    ours, other = scored(range(12)), scored(range(1, 13), "other")
    trainings = [scored(range(12), fingerprint=f"{number:064x}") for number in (1, 2)]
    folder = write_records(ours, ours, ours, *trainings, other)
    runs = [str(folder / f"run{i}") for i in range(6)]
    code, _, err = cli("compare", *given.format(*runs).split(), runs[5], "--metric", "J")
    assert (code, "hold the same record" in err) == (2, True), err
    assert cli("compare", f"{runs[0]},{runs[3]}", runs[4], runs[5], "--metric", "J")[0] == 0


def test_several_trainings_are_given_with_commas(scored, write_records, cli):
    base = np.random.default_rng(4).uniform(20, 60, 30)
    trainings = [scored(base + gain, "dense", fingerprint=f"{gain:064x}") for gain in (2, 3, 9)]
    folder = write_records(*trainings, scored(base, "color", pretraining={"format": "pixels"}), scored(base, "dino"))
    runs = [str(folder / f"run{i}") for i in range(5)]
    code, out, _ = cli("compare", ",".join(runs[:3]), *runs[3:], "--metric", "J")
    pixels = compare_groups(trainings, [read_record(folder / "run3" / "record.json")], "J", trained=[True, False])
    dino = compare_groups(trainings, [read_record(folder / "run4" / "record.json")], "J", trained=[True, True])
    assert code == 0
    assert pixels.interval in out
    assert dino.interval in out
    assert dino.high - dino.low > pixels.high - pixels.low  # another training of it could have had another score
    assert "dense (3 trainings)" in out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{0},{0}", "of one encoder and one seed"),
        ("{0},{2}", "of one encoder and one score of each item"),
        ("{0},{1}", "no two trainings of one model"),
        (",", "names no record"),
        ("{0},,{1}", "names no record"),
        ("", "names no record"),
        ("{0},missing", "missing"),
    ],
)
def test_what_are_no_trainings_of_one_model_is_refused(scored, write_records, cli, given, words):
    """The seed of an evaluation that trains nothing changes no score: two such records said that trainings do not scatter."""
    folder = write_records(
        scored(range(12), "a"), scored(range(12), "b", architecture="vit_base"), scored(range(12), "a", seed=1)
    )
    runs = [str(folder / f"run{i}") for i in range(3)]
    code, _, err = cli("compare", given.format(*runs), runs[1], "--metric", "J")
    assert (code, words in err) == (2, True), err
