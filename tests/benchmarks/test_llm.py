"""The benchmark's arithmetic, and the faults that it deals out."""

from __future__ import annotations

from dataclasses import astuple, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.llm import big_ledger
from benchmarks.llm.figures import Row, Spread, advantage, best_rival, losses, per_call, rows, spread
from benchmarks.llm.measurement import Figures, Measurement, Tool
from benchmarks.llm.report import _against_the_target, _rates
from benchmarks.llm.server import WORDS_IN_ANSWER, Counters, answer_text, fault_status


def one(value: float) -> Spread:
    return spread([value])


def test_a_figure_is_its_median_and_range() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(median=2.0, low=1.0, high=3.0, repeats=3)


def test_the_cost_of_a_call_is_free_of_the_fixed_part() -> None:
    fixed, each = 2.5, 0.01
    assert per_call(fixed + 1_000 * each, fixed + 50 * each, 1_000, 50) == pytest.approx(each)


def test_an_advantage_above_one_is_ours_whatever_is_better() -> None:
    assert advantage(300, 200, "higher") == 1.5
    assert advantage(2, 4, "lower") == 2.0
    assert advantage(-1, 50, "nearer zero") == 50.0
    assert advantage(0, 0, "lower") == 1.0
    assert advantage(0, 10, "lower") is None


def test_whoever_beats_us_is_named_and_an_equal_is_not() -> None:
    fast = Row("calls", "higher", {"us": one(100), "a": one(120), "b": one(90), "c": "hung"})
    error = Row("error", "nearer zero", {"us": one(-2.0), "a": one(1.0), "b": one(2.0)})
    found = losses([fast, error], "us", ["a", "b", "c"])
    assert [(row.name, rival) for row, rival, _, _ in found] == [("calls", "a"), ("error", "a")]


def test_the_best_rival_is_found_among_those_with_a_figure() -> None:
    row = Row("seconds", "lower", {"us": one(1), "a": one(3), "b": one(2), "c": "hung"})
    assert best_rival(row, ["a", "b", "c"]) == ("b", one(2))
    assert best_rival(row, ["c"]) is None


@given(content=st.text(), share=st.floats(0, 0.5))
def test_faults_are_the_same_for_every_client_and_end(content: str, share: float) -> None:
    dealt = [fault_status(content, times_seen, share) for times_seen in range(1, 60)]
    assert dealt == [fault_status(content, times_seen, share) for times_seen in range(1, 60)]
    assert None in dealt
    assert set(dealt) <= {None, 429, 500}


def test_faults_have_the_share_asked_for() -> None:
    dealt = [fault_status(f"question {number}", 1, 0.1) for number in range(10_000)]
    assert sum(status is not None for status in dealt) == pytest.approx(1_000, abs=120)
    assert dealt.count(429) == pytest.approx(500, abs=90)


def test_an_answer_belongs_to_its_question() -> None:
    assert answer_text("a") == answer_text("a") != answer_text("b")
    assert len(answer_text("a").split()) == WORDS_IN_ANSWER


def measured(
    scenario: str, tool: str, parallel: int, calls: int, seconds: float | None, latency_s: float = 0.05
) -> Measurement:
    counted = Counters(**{field.name: 0 for field in fields(Counters)})
    figures = None if seconds is None else Figures(seconds, seconds, 100.0, 0.1, calls, None, 0)
    trouble = "failed: ValueError" if seconds is None else None
    return Measurement(scenario, tool, 0, calls, parallel, figures, counted, trouble, latency_s)


def test_a_tool_that_fails_is_a_cell_and_stops_no_page() -> None:
    runs = [
        measured("fixed", "teams", 50, 50, 0.1),
        measured("fixed", "rival", 50, 50, None),
        *(measured("throughput", tool, 25, 1_000, 2.5) for tool in ("teams", "rival")),
    ]
    table = {row.name: row for row in rows(runs, ["teams", "rival"])}
    assert table["Fixed cost: 50 calls, s"].cells["rival"] == "failed: ValueError"
    assert table["Calls/s at 25 parallel, latency 50 ms, whole run"].cells["rival"] == one(400)
    assert table["Calls/s at 25 parallel, latency 50 ms, beyond the fixed part"].cells["rival"] == "-"


def test_each_latency_has_its_own_rows_and_the_most_that_it_allows() -> None:
    runs = [
        measured("fixed", "teams", 50, 50, 0.1, latency_s=0.01),
        measured("throughput", "teams", 25, 1_000, 2.5),
        measured("throughput", "teams", 25, 1_000, 1.05, latency_s=0.01),
    ]
    table = {row.name: row for row in rows(runs, ["teams"])}
    slow, quick = (table[f"Calls/s at 25 parallel, latency {ms} ms, whole run"] for ms in (50, 10))
    assert (slow.cells["teams"], slow.ceiling) == (one(400), 500)
    assert (quick.cells["teams"], quick.ceiling) == (one(1_000 / 1.05), 2_500)
    beyond = table["Calls/s at 25 parallel, latency 10 ms, beyond the fixed part"]
    found = beyond.cells["teams"]
    assert isinstance(found, Spread)
    assert astuple(found) == pytest.approx(astuple(one(1_000)))
    assert table["Calls/s at 25 parallel, latency 50 ms, beyond the fixed part"].cells["teams"] == "-"


def test_a_target_that_is_missed_is_named_with_what_the_latency_allows() -> None:
    tools = [Tool("teams", "us", Path(), rival=False), Tool("a", "A", Path(), rival=True)]
    slow = Row("25, whole run", "higher", {"teams": one(440), "a": one(400)}, ceiling=500)
    missed = Row("50, whole run", "higher", {"teams": one(500), "a": one(400)}, ceiling=1_000)
    met = Row("200, whole run", "higher", {"teams": one(600), "a": one(400)}, ceiling=4_000)
    impossible, possible = _against_the_target([slow, missed, met], tools)
    assert "1.10 times A, not the 1.5 times" in impossible
    assert "500 calls/s at most, 1.25 times it: no client can be 1.5 times A here" in impossible
    assert possible.endswith("1,000 calls/s at most, 2.50 times it.")
    table = "\n".join(_rates([slow, missed, met], tools))
    assert "| 440 | 400 | 1.10 | 500 | 1.25: 1.5 is impossible |" in table.replace(".00 |", " |")
    assert table.count("impossible") == 1


def test_a_large_ledger_is_read_and_audited(tmp_path: Path) -> None:
    big_ledger.build(tmp_path, 300)
    assert big_ledger.measure(tmp_path)["rows of `llm_calls`"] == 300
    for view in big_ledger.WHOLE_VIEWS:
        figures = big_ledger.measure_view(tmp_path, view)
        assert figures[f"`{view}`, ms"] > 0
        assert figures[f"peak memory of `{view}`, MB"] > 0
