"""The paper's numbers with their sources; what is not known is left blank."""

from __future__ import annotations

import pytest

from teams_dagster.evaluation.paper import (
    AUC,
    BASE,
    COLUMNS,
    DIFFERENCE,
    FACTS,
    LORA,
    PAIRS,
    QUERIES,
    TEAMS_RL,
    WIZARDLM,
    Cell,
    Ours,
    caution,
    paper_table,
)
from teams_dagster.evaluation.scores import Score

NOTHING = Ours()


def row(figure: str, ours: Ours = NOTHING):
    return next(row for row in paper_table(ours) if row.figure == figure)


def score(model: str, task: str, metric: str, value: float, stderr: float | None = 0.01) -> Score:
    return Score(model, task, metric, value, stderr, 9, "m", "d")


def test_the_papers_numbers_are_its_own():
    assert row(PAIRS).cells == {TEAMS_RL: Cell(17_878)}
    assert row(QUERIES).cells == {WIZARDLM: Cell(624_000), TEAMS_RL: Cell(35_756)}
    assert row(AUC).cells == {WIZARDLM: Cell(0.72), TEAMS_RL: Cell(0.47)}


def test_the_derived_counts_give_the_share_that_the_abstract_states():
    queries = row(QUERIES).cells
    share = row("queries, % of WizardLM's").cells[TEAMS_RL].value
    assert 100 * queries[TEAMS_RL].value / queries[WIZARDLM].value == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.figure)
def test_every_fact_has_a_source_and_no_number_without_one(fact):
    assert fact.source
    assert (fact.source == "the paper's number is not known") == (fact.wizardlm_7b is None and fact.teams_rl_7b is None)


def test_what_was_not_measured_is_blank():
    assert all(set(row.cells) <= {WIZARDLM, TEAMS_RL} for row in paper_table(Ours()))


def test_a_benchmark_of_ours_stands_beside_the_papers_in_percent():
    cell = row("ARC, %", Ours(scores=[score(LORA, "arc_challenge", "acc_norm", 0.25)])).cells[LORA]
    assert (cell.value, cell.low) == (25.0, pytest.approx(25 - 1.96, abs=0.01))


def test_a_paired_difference_is_reported_also_where_its_interval_holds_zero():
    found = [score("lora_uniform", "heldout_loss", "heldout_loss_lora_minus_lora_uniform", 0.001)]
    cell = row("held-out loss, nats per token", Ours(differences=found)).cells[DIFFERENCE]
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low < 0 < cell.high


def test_baselines_that_are_no_model_have_no_column():
    scores = [score(name, "response_choice", "choice_accuracy", 0.3) for name in (BASE, "chance")]
    assert set(row("response choice, %", Ours(scores=scores)).cells) == {BASE}
    assert "chance" not in COLUMNS


def test_it_is_said_that_a_tiny_student_is_no_7b_model():
    assert "no 7B model" in caution("embedded", embedded=True)
    assert "my/student" in caution("my/student", embedded=False)
