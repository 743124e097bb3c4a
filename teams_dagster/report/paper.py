"""This project beside the papers: cells of the table, and queries against Evol-Instruct (WizardLM) and TeaMs-RL.

The paper claims 5.73% of WizardLM's queries (arXiv 2403.08694, abstract); a third party's summary has its 17,878 pairs.
The counts behind the share are derived here, not quoted: 2 x 17,878 = 35,756 queries, one to rewrite and one to answer,
of 52,000 seeds x 4 rounds x 3 calls = 624,000 are 5.73%. So counted, the reviewer, the training of the policy and
everything refused are left out; this project's queries are given both ways.
"""

from __future__ import annotations

from dataclasses import dataclass

from teams_dagster.core.text import interval, number
from teams_dagster.evaluation.paper import EVOL_INSTRUCT_QUERIES, PAPER_PAIRS, PAPER_QUERIES, PaperValue
from teams_dagster.report.content import QuestionCounts


@dataclass(frozen=True)
class QueryComparison:
    """One way to make pairs, and what it asks."""

    name: str
    pairs: int | None
    """None where it is not established."""
    queries: int
    at_paper_size: float | None
    """Queries for as many pairs as the paper has; None where nothing can be said."""

    @property
    def per_pair(self) -> float | None:
        """Queries for one pair."""
        return self.queries / self.pairs if self.pairs else None

    @property
    def share(self) -> float | None:
        """`at_paper_size` as a share of Evol-Instruct's queries."""
        return None if self.at_paper_size is None else self.at_paper_size / EVOL_INSTRUCT_QUERIES


def compare_queries(pairs: int, counts: QuestionCounts) -> tuple[QueryComparison, ...]:
    """Evol-Instruct, the paper, and this project for `pairs` kept pairs: counted as the paper does, then in full.

    At the paper's size the queries of a pair grow with the pairs; those of the policy are spent once.
    """
    expert = counts.rewrites + counts.answers
    generation = expert + counts.reviews + counts.ratings
    added = ("reviews", "ratings") if counts.ratings else ("reviews",)
    scale = PAPER_PAIRS / pairs if pairs else None
    return (
        QueryComparison("Evol-Instruct (WizardLM)", None, EVOL_INSTRUCT_QUERIES, EVOL_INSTRUCT_QUERIES),
        QueryComparison("TeaMs-RL, as its paper counts", PAPER_PAIRS, PAPER_QUERIES, PAPER_QUERIES),
        QueryComparison("here, the expert's only", pairs, expert, expert * scale if scale else None),
        QueryComparison(f"here, with {' and '.join(added)}", pairs, generation, generation * scale if scale else None),
        QueryComparison(
            f"here, with {', '.join(added)} and the policy's own",
            pairs,
            generation + counts.policy,
            generation * scale + counts.policy if scale else None,
        ),
    )


DIGITS = 4


def paper_number(value: PaperValue) -> str:
    """The number: counts whole, others with as many decimals as the paper's have."""
    whole = float(value.value).is_integer() and abs(value.value) >= 1
    return number(int(value.value) if whole else value.value, DIGITS)


def paper_interval(value: PaperValue) -> str:
    """Its interval; nothing where it has none."""
    return "" if value.ci_low is None or value.ci_high is None else interval(value.ci_low, value.ci_high, DIGITS)


def paper_cell(value: PaperValue | None) -> str:
    """Both in a line; nothing where the number is not known."""
    if value is None:
        return ""
    told = paper_interval(value)
    return f"{paper_number(value)} ({told})" if told else paper_number(value)
