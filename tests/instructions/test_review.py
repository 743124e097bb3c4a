import pytest

from teams_dagster.instructions.review import Verdict, parse_verdict


@pytest.mark.parametrize(
    "reply", ["Not Equal", "not equal.", "**Not Equal**", "NOT-EQUAL", " not_equal\n", "They are not equal"]
)
def test_not_equal_is_read_whatever_its_case_and_markup(reply: str):
    assert parse_verdict(reply) is Verdict.NOT_EQUAL


@pytest.mark.parametrize("reply", ["Equal", "equal.", "Answer: Equal", "Equal, equal"])
def test_equal_is_read_whatever_its_case_and_markup(reply: str):
    assert parse_verdict(reply) is Verdict.EQUAL


@pytest.mark.parametrize("reply", ["", "Yes", "Unequal", "Equal or Not Equal", "Not Equal? No: Equal", "equality"])
def test_a_reply_with_no_verdict_or_with_both_is_unclear(reply: str):
    assert parse_verdict(reply) is Verdict.UNCLEAR
