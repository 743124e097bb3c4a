"""How distinct a policy's texts are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.policy.comparison.distinctness import (
    MAX_TEXTS,
    METRICS,
    distinctness,
    nearest_similarity,
    vendi_score,
)
from teams_dagster.policy.comparison.token_texts import cut_texts, encode, equal_total, kernel_vectors
from tests.support.properties import example_count


def by_seed(texts, seeds=4):
    """`texts` dealt to `seeds` seeds in turn."""
    return {f"seed-{n}": [Instruction(text) for text in texts[n::seeds]] for n in range(seeds)}


def different(count, words=6, tag="w"):
    """Texts of `words` words that no other has."""
    return [" ".join(f"{tag}{n}x{k}" for k in range(words)) for n in range(count)]


def mean(found, policy, metric):
    measure = found.measure(policy, metric)
    assert measure is not None
    return measure.mean


def kernel(texts):
    (encoded,), vocabulary = encode([[Instruction(text) for text in texts]])
    vectors = kernel_vectors(cut_texts(encoded, np.arange(len(encoded)), encoded.lengths), vocabulary)
    return vectors @ vectors.T


def test_one_text_again_and_again_is_as_little_distinct_as_can_be():
    found = distinctness({"same": by_seed(["one two three four"] * 40)})
    assert set(found.set_sizes) == {20}
    assert mean(found, "same", "distinct_1") == pytest.approx(4 / 80)
    assert mean(found, "same", "distinct_2") == pytest.approx(3 / 60)
    assert mean(found, "same", "nearest_similarity") == pytest.approx(1, abs=1e-5)
    assert mean(found, "same", "vendi_score") == pytest.approx(1, abs=1e-4)


def test_texts_that_share_nothing_count_in_full():
    found = distinctness({"all different": by_seed(different(24))})
    assert mean(found, "all different", "distinct_1") == 1
    assert mean(found, "all different", "distinct_2") == 1
    assert mean(found, "all different", "nearest_similarity") < 0.3
    assert 10.5 < mean(found, "all different", "vendi_score") <= 12


def test_the_vendi_score_is_the_effective_number_of_texts():
    assert vendi_score(np.eye(7)) == pytest.approx(7)
    assert vendi_score(np.kron(np.eye(3), np.ones((5, 5)))) == pytest.approx(3)
    assert vendi_score(np.array([[1.0, 0.5], [0.5, 1.0]])) == pytest.approx(np.exp(-np.log(0.75**0.75 * 0.25**0.25)))


def test_both_gram_matrices_give_the_same_score():
    vectors = np.random.default_rng(0).random((30, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shares = np.linalg.eigvalsh(vectors.T @ vectors / 30)
    assert vendi_score(vectors @ vectors.T) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


def test_having_more_texts_does_not_make_up_for_repeating_them():
    repeating = by_seed([text for text in different(20) for _ in range(10)])
    found = distinctness({"repeats": repeating, "does not": by_seed(different(40, tag="v"))})
    assert set(found.set_sizes) == {20}
    for metric in ("distinct_1", "distinct_2", "vendi_score"):
        difference = found.difference("repeats", "does not", metric)
        assert difference is not None
        assert difference.ci_high < 0
    assert mean(found, "repeats", "nearest_similarity") > mean(found, "does not", "nearest_similarity")


def test_length_gains_nothing():
    short = different(24, words=6)
    padded = [f"{text} {' '.join(f'{text.split()[0]}more{k}' for k in range(50))}" for text in short]
    found = distinctness({"short": by_seed(short), "long-winded": by_seed(padded)})
    assert set(found.token_totals) == {12 * 6}
    for metric in METRICS:
        difference = found.difference("long-winded", "short", metric)
        assert difference is not None
        assert (difference.mean, difference.ci_low, difference.ci_high) == (0, 0, 0)


def test_the_input_belongs_to_the_text():
    same_task = {f"seed-{n}": [Instruction("Sort the list", f"item{n}a item{n}b item{n}c")] for n in range(8)}
    only_task = {f"seed-{n}": [Instruction("Sort the list, please do it now")] for n in range(8)}
    found = distinctness({"inputs": same_task, "none": only_task})
    assert mean(found, "inputs", "vendi_score") > mean(found, "none", "vendi_score")


def test_every_policy_meets_the_same_subsamples():
    texts = by_seed([f"shared words and then {text}" for text in different(60)], seeds=12)
    found = distinctness({"one": texts, "other": dict(reversed(texts.items()))})
    assert np.ptp(found.values["one", "vendi_score"]) > 0
    for metric in METRICS:
        assert (found.values["one", metric] == found.values["other", metric]).all()


def test_the_interval_is_students_over_the_subsamples():
    found = distinctness({"some": by_seed([f"shared words and then {text}" for text in different(60)], seeds=12)})
    values, measure = found.values["some", "vendi_score"], found.measure("some", "vendi_score")
    assert measure is not None
    assert measure.ci_high - measure.mean == pytest.approx(2.093 * values.std(ddof=1), rel=1e-3)
    assert measure.mean - measure.ci_low == pytest.approx(measure.ci_high - measure.mean)


def test_the_same_root_seed_gives_the_same_figures_and_another_gives_others():
    texts = {"a": by_seed(different(40)), "b": by_seed(different(20) * 2)}
    first, second = distinctness(texts), distinctness(dict(reversed(texts.items())))
    assert {(m.policy, m.metric): m for m in first.measures} == {(m.policy, m.metric): m for m in second.measures}
    assert distinctness(texts, root_seed=1).measure("b", "vendi_score") != first.measure("b", "vendi_score")


def test_a_policy_without_texts_is_absent_and_does_not_shrink_the_sets_of_the_others():
    found = distinctness({"empty": {}, "nothing said": {"seed-0": [Instruction("...")]}, "some": by_seed(different(8))})
    assert set(found.set_sizes) == {4}
    assert {measure.policy for measure in found.measures} == {"some"}
    assert found.measure("empty", "vendi_score") is None
    assert found.difference("some", "empty", "vendi_score") is None
    assert distinctness({"empty": {}}).measures == ()
    assert distinctness({}).measures == ()


def test_what_one_text_cannot_show_is_absent():
    found = distinctness({"one word": {"seed": [Instruction("Hello")]}})
    assert [measure.metric for measure in found.measures] == ["distinct_1", "vendi_score"]


def test_a_policy_is_measured_in_the_subsamples_in_which_it_has_texts():
    found = distinctness({"rare": {"seed-0": [Instruction("a b c")] * 2}, "some": by_seed(different(40))})
    rare, some = found.measure("rare", "distinct_1"), found.measure("some", "distinct_1")
    assert rare is not None
    assert some is not None
    assert 0 < rare.subsamples < some.subsamples == 20
    assert set(found.set_sizes) == {2, 20}


def test_sets_are_bounded():
    found = distinctness({"many": by_seed(different(2 * MAX_TEXTS + 50))}, subsamples=2)
    assert found.set_sizes == (MAX_TEXTS, MAX_TEXTS)


@pytest.mark.parametrize("options", [{"subsamples": 1}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_what_gives_no_interval_is_an_error(options):
    with pytest.raises(ValueError, match="subsamples"):
        distinctness({"a": by_seed(different(4))}, **options)


lengths = st.lists(st.integers(1, 30), min_size=1, max_size=20).map(np.array)


@given(lengths, st.data())
def test_texts_are_cut_to_exactly_the_total_and_the_longest_first(of_texts, data):
    total = data.draw(st.integers(len(of_texts), int(of_texts.sum())))
    cut = equal_total(of_texts, total)
    assert cut.sum() == total
    assert (cut >= 1).all()
    assert (cut <= of_texts).all()
    assert (cut[cut < of_texts] >= cut.max() - 1).all()


def test_more_tokens_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="cut"):
        equal_total(np.array([2, 3]), 6)


phrases = st.lists(st.sampled_from("a b c dog cat 7 ß 犬 . !".split()), max_size=8).map(" ".join)
policies = st.dictionaries(
    st.sampled_from("PQR"),
    st.dictionaries(st.sampled_from("stuv"), st.lists(st.builds(Instruction, phrases, phrases), max_size=4)),
)


@given(policies)
@settings(max_examples=example_count(60))
def test_figures_stay_within_their_bounds(texts):
    found = distinctness(texts, subsamples=5)
    sizes = np.array(found.set_sizes)
    for (_, metric), values in found.values.items():
        there = ~np.isnan(values)
        low, high = {"nearest_similarity": (0, 1), "vendi_score": (1, sizes[there])}.get(metric, (1e-9, 1))
        assert (values[there] >= low).all()
        assert (values[there] <= high).all()
    for measure in found.measures:
        assert measure.ci_low <= measure.mean + 1e-9
        assert measure.mean <= measure.ci_high + 1e-9


@given(st.lists(phrases.filter(lambda text: any(c.isalnum() for c in text)), min_size=2, max_size=12))
def test_a_text_that_is_there_twice_makes_the_set_less_distinct(texts):
    once, twice = kernel(texts), kernel([*texts, texts[0]])
    assert vendi_score(twice) <= vendi_score(once) + 1 + 1e-6
    assert nearest_similarity(twice) >= nearest_similarity(once) * len(texts) / (len(texts) + 1) - 1e-6
