"""What is worth looking at in a token-level training: its reward, and what shows that a reward is being exploited."""

from __future__ import annotations

from collections.abc import Iterator

from teams_dagster.core.metadata import Details, Table
from teams_dagster.core.text import number
from teams_dagster.evaluation.rlgf.stored import read_report
from teams_dagster.evaluation.stored import read_privacy, read_win_rates
from teams_dagster.report.preview_evaluation import membership_table, win_rate_table
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.rlgf import RLGFFacts, RLGFScoreFacts
from teams_dagster.student.adapter_config import REPORT

MEASURED = ("reward", "perplexity", "distinct_1", "distinct_2", "length", "ended", "kl")
"""The metrics that are shown of each evaluation."""


def rlgf_preview(artefact: Artefact) -> Details:
    """Reward and KL after the training, every evaluation, and the batches' mean rewards."""
    facts, report = artefact.read_facts(RLGFFacts), read_report(artefact.path(REPORT))
    return {
        "reward_before": facts.before.reward,
        "reward_after": facts.after.reward,
        "kl_after": facts.after.kl,
        "perplexity_after": facts.after.perplexity,
        "evaluations": Table(("updates", "tokens", *MEASURED), list(_evaluations(report["evaluations"]))),
        "rewards": Table(
            ("iteration", "reward", "learner tokens", "guide tokens"),
            [
                (each["iteration"] + 1, number(each["reward"]), each["learner_tokens"], each["guide_tokens"])
                for each in report["records"]
            ],
        ),
    }


def rlgf_scores_preview(artefact: Artefact) -> Details:
    """The last stage's figures, win rates, and membership inference; the comparison is among the facts."""
    *_, last = artefact.read_facts(RLGFScoreFacts).stages
    rates = read_win_rates(artefact)
    return {
        "rlgf_heldout_loss": last.heldout_loss,
        "rlgf_choice_accuracy": last.choice_accuracy,
        **{f"{rate.model}_win_rate_against_{rate.against}": rate.win_rate for rate in rates},
        "win_rates": win_rate_table(rates),
        "membership": membership_table(read_privacy(artefact)),
    }


def _evaluations(evaluations: list[dict]) -> Iterator[tuple[object, ...]]:
    for each in evaluations:
        yield each["iteration"], each["tokens"], *(number(each["metrics"][name]) for name in MEASURED)
