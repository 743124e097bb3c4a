from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.report.content import funnel_stages
from tests.report.example_report import DROPPED, NOT_ACCEPTED, REFUSED

counts = st.integers(min_value=0, max_value=10_000)


def causes(*names: str) -> st.SearchStrategy[dict[str, int]]:
    return st.dictionaries(st.sampled_from(names), counts)


@given(
    causes("none", "equal", "unclear", "returned", "failed"),
    causes("short_apology", "empty"),
    causes("near_duplicate", "contaminated"),
    counts,
)
def test_each_stage_is_the_one_before_without_its_named_losses(not_accepted, refused, curated, kept) -> None:
    transitions = sum(sum(lost.values()) for lost in (not_accepted, refused, curated)) + kept
    stages = funnel_stages(transitions, not_accepted, refused, refused | curated)
    assert [stage.name for stage in stages] == ["asked", "reviewed", "accepted", "answered", "kept"]
    assert all(after.count == before.count - sum(before.lost.values()) for before, after in pairwise(stages))
    assert stages[-1].count == kept


def test_only_verdicts_are_lost_after_review_and_none_is_never_asked() -> None:
    asked, reviewed, *_ = funnel_stages(1_920, NOT_ACCEPTED, REFUSED, DROPPED)
    assert asked.count == 1_920 - NOT_ACCEPTED["none"]
    assert "none" not in asked.lost
    assert set(reviewed.lost) == {"equal", "unclear"}
