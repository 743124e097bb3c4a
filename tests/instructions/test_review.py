import pytest

from teams_dagster.instructions.review import Verdict, parse_verdict


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
