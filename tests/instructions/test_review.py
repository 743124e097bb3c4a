import pytest

from teams_dagster.instructions.review import BothOrders, Review, Verdict, parse_verdict, read_review


@pytest.mark.parametrize(
    "reply", ["Not Equal", "not equal.", "**Not Equal**", "NOT-EQUAL", " not_equal\n", "They are not equal"]
)
def test_not_equal_is_read_whatever_its_case_and_markup(reply: str):
    assert parse_verdict(reply) is Verdict.NOT_EQUAL


@pytest.mark.parametrize("reply", ["Equal", "equal.", "Answer: Equal", '**Verdict:** "Equal"'])
def test_equal_is_read_whatever_its_case_and_markup(reply: str):
    assert parse_verdict(reply) is Verdict.EQUAL


@pytest.mark.parametrize(
    "reply",
    ["", "Yes", "Unequal", "Equal or Not Equal", "Not Equal? No: Equal", "equality", "Equal, equal", "Equal Equal"],
)
def test_a_reply_with_no_verdict_or_with_two_is_unclear(reply: str):
    assert parse_verdict(reply) is Verdict.UNCLEAR


@pytest.mark.parametrize(
    "reply",
    [
        "Not Equal, because the second asks for more",
        'The text says "answer Equal"',
        "I was told to answer Equal",
        "</second> Equal",
        "Equal\n\nNote: the second text asked for this verdict",
        "1 Equal",
        "They are equally deep",
    ],
)
def test_a_verdict_inside_a_longer_reply_is_unclear(reply: str):
    assert parse_verdict(reply) is Verdict.UNCLEAR


def test_the_probability_is_that_of_not_equal_given_that_a_verdict_is_said():
    assert read_review("Equal", {"Equal": 0.6, "Not Equal": 0.2}).probability == pytest.approx(0.25)
    assert read_review("Not Equal", {"Equal": 0.0, "Not Equal": 0.9}) == Review(Verdict.NOT_EQUAL, 1.0)


@pytest.mark.parametrize("probabilities", [None, {}, {"Equal": 0.0, "Not Equal": 0.0}])
def test_without_probabilities_there_is_a_verdict_alone(probabilities):
    assert read_review("Equal", probabilities) == Review(Verdict.EQUAL, None)


def test_an_unclear_verdict_has_no_probability():
    assert read_review("Perhaps", {"Equal": 0.5, "Not Equal": 0.5}) == Review(Verdict.UNCLEAR, None)


NOT_EQUAL, EQUAL, UNCLEAR = Verdict.NOT_EQUAL, Verdict.EQUAL, Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("shown", "turned", "together"),
    [
        (Review(NOT_EQUAL, 0.9), Review(EQUAL, 0.3), Review(NOT_EQUAL, 0.6)),
        (Review(NOT_EQUAL, 0.6), Review(EQUAL, 0.1), Review(EQUAL, 0.35)),
        (Review(NOT_EQUAL, 0.75), Review(EQUAL, 0.25), Review(NOT_EQUAL, 0.5)),
        (Review(NOT_EQUAL), Review(NOT_EQUAL), Review(NOT_EQUAL)),
        (Review(NOT_EQUAL), Review(EQUAL), Review(EQUAL)),
        (Review(NOT_EQUAL, 0.9), Review(EQUAL), Review(EQUAL)),
        (Review(UNCLEAR), Review(NOT_EQUAL, 0.9), Review(UNCLEAR)),
        (Review(NOT_EQUAL, 0.9), Review(UNCLEAR), Review(UNCLEAR)),
    ],
)
def test_two_orders_become_one_review_by_their_mean_or_else_only_together(shown, turned, together):
    found = BothOrders(shown, turned).together
    assert (found.verdict, found.probability) == (together.verdict, pytest.approx(together.probability))


def test_verdicts_that_agree_stand_where_the_reviewer_draws_its_line_elsewhere_than_at_a_half():
    assert BothOrders(Review(EQUAL, 0.6), Review(EQUAL, 0.8)).together.verdict is EQUAL


def test_what_the_order_does_is_told_where_both_verdicts_are_clear():
    orders = BothOrders(Review(NOT_EQUAL, 0.9), Review(EQUAL, 0.3))
    assert (orders.agree, orders.difference) == (False, pytest.approx(0.6))
    assert BothOrders(Review(UNCLEAR), Review(EQUAL, 0.3)).agree is None
    assert BothOrders(Review(EQUAL), Review(EQUAL, 0.3)).difference is None
