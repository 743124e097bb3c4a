"""How a policy was trained, as the report says it."""

from teams_dagster.report.content import PolicyResults
from teams_dagster.report.policy_sentences import training_sentences


def test_a_hard_reward_in_one_order_needs_no_word_of_its_own() -> None:
    assert training_sentences(PolicyResults(algorithm="trpo")) == "Trained by TRPO: 0 iterations, 0 queries."


def test_position_bias_is_told_where_verdicts_were_taken_in_both_orders() -> None:
    policy = PolicyResults(pairs_in_both_orders=1_200, orders_disagree=0.071, order_difference=0.03)
    said = training_sentences(policy)
    assert "1,200 edits, 7.1% of them with another verdict the other way round" in said
    assert "P(Not Equal) differs by +0.030 on the mean" in said


def test_orders_without_probabilities_tell_how_often_they_disagree_alone() -> None:
    said = training_sentences(PolicyResults(pairs_in_both_orders=10, orders_disagree=0.2))
    assert said.endswith("10 edits, 20.0% of them with another verdict the other way round.")


def test_a_soft_reward_says_how_many_verdicts_counted_as_0_or_1() -> None:
    assert "3 verdicts came without one and counted as 0 or 1" in training_sentences(
        PolicyResults(soft_reward=True, verdicts_without_probability=3)
    )


def test_a_reward_in_dollars_says_how_many_edits_it_could_not_price() -> None:
    assert "2 came without their number of tokens: reward `dollars` could not price them" in training_sentences(
        PolicyResults(edits_without_tokens=2)
    )
    assert "tokens" not in training_sentences(PolicyResults(edits_without_tokens=0))
