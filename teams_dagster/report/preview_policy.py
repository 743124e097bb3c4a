"""What the metadata of group `policy` shows of its outputs' files: pictures and tables."""

from __future__ import annotations

from teams_dagster.core.metadata import Detail, Details, Markdown, Picture, Table
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.checkpoint import load_policy
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.dollars import DOLLARS_EACH, NOVELTY_PER_DOLLAR
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.report.policy_scores import (
    break_even_lines,
    differences_table,
    policies_table,
    raw_table,
)
from teams_dagster.report.policy_sentences import few_trainings, learnt, simpler_rule
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.policy import ComparisonFacts

PLOTTED = (
    "distinct_accepted_per_query",
    "distinct_accepted_per_query_over_uniform",
    "allowance_used",
    "accepted_per_query",
    "accepted_per_query_over_uniform",
    "accepted_per_query_share_of_gap",
    "accepted_per_episode",
    "accepted_per_episode_share_of_gap",
    DOLLARS_EACH,
    f"{DOLLARS_EACH}_minus_uniform",
    NOVELTY_PER_DOLLAR,
)
"""Metrics of the trained policy that plot over time."""

PICTURED = ("distinct_accepted_per_query", "accepted_per_query", "accepted_per_episode", "vendi_score")


def policy_preview(artefact: Artefact) -> Details:
    """The version of a trained policy, and the pictures of its training."""
    from teams_dagster.report import pictures

    curve = load_policy(artefact).curve
    drawn = {
        "learning_curve": pictures.learning_curve(curve),
        "operation_mix_by_iteration": pictures.operation_mix(curve),
    }
    return {"policy_version": artefact.data_version, **_pictures(drawn)}


def comparison_preview(artefact: Artefact) -> Details:
    """The scores of a comparison as figures, tables and pictures."""
    from teams_dagster.report import pictures

    scores, facts = read_policy_scores(artefact), artefact.read_facts(ComparisonFacts)
    trained = {score.metric: score.mean for score in scores if score.policy == TRAINED}
    drawn = {f"{metric}_by_policy": pictures.policies_compared(scores, metric) for metric in PICTURED}
    drawn["differences"] = pictures.differences(scores)
    details: dict[str, Detail] = {
        **{name: trained[name] for name in PLOTTED if name in trained},
        "reward_variance_of_uniform": facts.reward_variance[UNIFORM],
        "policies": Markdown(policies_table(scores).markdown("policy")),
        "trained_minus_others": Markdown(differences_table(scores).markdown("trained minus")),
        "learnt": learnt(scores),
        "simpler_rule": simpler_rule(scores),
        "pays_for_itself": "; ".join(break_even_lines(scores)),
        **_pictures(drawn),
        "scores": Table(("metric", "policy", "mean", "95% interval", "episodes", "queries"), raw_table(scores)),
    }
    if few := few_trainings(scores):
        details["note"] = few
    return details


def _pictures(drawn: dict[str, bytes]) -> dict[str, Detail]:
    """The pictures, each with its name for those who cannot see it."""
    return {name: Picture(png, name.replace("_", " ")) for name, png in drawn.items()}
