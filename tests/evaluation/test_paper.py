from __future__ import annotations

import pytest

from teams_dagster.evaluation.paper import (
    BASE,
    COLUMNS,
    DIFFERENCE,
    EVOL_INSTRUCT_QUERIES,
    FACTS,
    LORA,
    PAPER_QUERIES,
    TEAMS_RL,
    PaperValue,
    paper_rows,
    paper_table,
)

OURS = [
    PaperValue("membership_auc", BASE, 0.5, 0.45, 0.55, "privacy_audit 1"),
    PaperValue("pairs", LORA, 120, None, None, "instruction_dataset 2"),
    PaperValue("heldout_loss", DIFFERENCE, 0.02, -0.03, 0.07, "uniform_scores 3"),
]


def test_each_number_of_the_paper_has_its_source_and_a_number_that_is_not_known_has_none() -> None:
    for fact in FACTS.values():
        known = fact.wizardlm is not None or fact.teams_rl is not None
        assert bool(fact.source) is known


def test_the_abstracts_share_of_queries_is_that_of_the_counts_derived_from_it() -> None:
    derived = PAPER_QUERIES / EVOL_INSTRUCT_QUERIES
    assert derived == pytest.approx(FACTS["expert_queries_share"].teams_rl, abs=5e-5)


def test_no_number_of_a_summary_is_given_to_the_authors() -> None:
    summarised = {key: fact.teams_rl for key, fact in FACTS.items() if "third party" in fact.source}
    assert summarised == {"pairs": 17_878, "pairs_share": 0.0675, "membership_auc_unknown_attack": 0.47}


def test_a_figure_whose_model_and_shots_are_not_known_is_in_no_column() -> None:
    assert (FACTS["arc"].wizardlm, FACTS["arc"].teams_rl) == (None, None)
    assert "54.35" in FACTS["arc"].doubt


def test_an_attack_that_is_not_known_is_not_beside_ours() -> None:
    assert (FACTS["membership_auc"].wizardlm, FACTS["membership_auc"].teams_rl) == (None, None)


def test_queries_that_rewrite_and_answer_and_reviews_are_all_the_queries() -> None:
    rewritten, reviewed, asked = (FACTS[key] for key in ("expert_queries", "review_queries", "queries"))
    assert (rewritten.wizardlm or 0) + (reviewed.wizardlm or 0) == asked.wizardlm == EVOL_INSTRUCT_QUERIES
    assert (rewritten.teams_rl or 0) + (reviewed.teams_rl or 0) == asked.teams_rl == PAPER_QUERIES


def test_neither_paper_rates_pairs() -> None:
    assert (FACTS["rating_queries"].wizardlm, FACTS["rating_queries"].teams_rl) == (0, 0)


def test_ours_stand_beside_the_papers_in_the_tables_order() -> None:
    values = paper_table(OURS)
    assert set(OURS) <= set(values)
    assert [v.whose for v in values if v.quantity == "pairs"] == [TEAMS_RL, LORA]
    quantities = list(dict.fromkeys(v.quantity for v in values))
    assert quantities == [key for key in FACTS if key in quantities]


def test_every_quantity_is_a_row_and_what_is_not_known_is_blank() -> None:
    rows = paper_rows(paper_table(OURS))
    assert [row.fact for row in rows] == list(FACTS.values())
    by_quantity = dict(zip(FACTS, rows, strict=True))
    assert set(by_quantity["gsm8k"].cells) == set()
    assert set(by_quantity["pairs"].cells) == {TEAMS_RL, LORA}
    assert all(set(row.cells) <= set(COLUMNS) for row in rows)


def test_a_difference_keeps_an_interval_that_contains_zero() -> None:
    [row] = [row for row in paper_rows(paper_table(OURS)) if DIFFERENCE in row.cells]
    assert (row.cells[DIFFERENCE].ci_low, row.cells[DIFFERENCE].ci_high) == (-0.03, 0.07)
