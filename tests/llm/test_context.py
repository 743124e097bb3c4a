"""What several engines did is what each did, added up."""

from __future__ import annotations

from teams_dagster.llm.context import Tallies


def test_what_was_done_since_then_is_added_to_what_others_did():
    then = Tallies(asked=2, cost_nano_usd=5)
    here = Tallies(asked=7, reused=3, cost_nano_usd=9, unpriced=1)
    total = Tallies(asked=10, failed=1)
    total.add(here.since(then))
    assert total == Tallies(asked=15, reused=3, failed=1, cost_nano_usd=4, unpriced=1)


def test_a_copy_stands_still():
    tallies = Tallies(asked=1)
    copied = tallies.copy()
    tallies.asked += 1
    assert copied == Tallies(asked=1)
