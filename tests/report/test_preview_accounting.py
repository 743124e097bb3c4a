"""What the account shows beside its total."""

from __future__ import annotations

from teams_dagster.report.preview_accounting import expert_lines
from teams_dagster.store.facts.accounting import ExpertFacts


def test_the_papers_answers_per_pair_stand_beside_those_measured() -> None:
    expert = ExpertFacts(
        rewrites=100,
        accepted_rewrites=80,
        responses=80,
        kept=40,
        accepted_per_rewrite={"uniform": 0.5, "trained": 0.8},
    )
    assert expert_lines(expert) == [
        ("trained policy, measured in the generations", "4.50"),
        ("trained, by its rewrites' acceptance on held-out seeds", "4.50"),
        ("uniform, by its rewrites' acceptance on held-out seeds", "6.00"),
        ("the paper, which keeps everything and never reviews", "2.00"),
    ]


def test_without_an_accepted_pair_there_is_no_figure() -> None:
    assert [figure for _, figure in expert_lines(ExpertFacts())] == ["-", "2.00"]
