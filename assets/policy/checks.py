"""Checks of the policy."""

import dagster as dg
import numpy as np

from assets.check_results import needs_output, not_applicable, verdict, warning
from assets.materialize import DATASET_FIRST
from teams_dagster.core.text import words
from teams_dagster.environment.transition import start
from teams_dagster.policy.checkpoint import load_policy, policy_seeds
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.scores import ALLOWANCE_USED, HEADLINE, left_unused
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.policy import PolicyFacts


@dg.asset_check(
    asset="trained_policy",
    blocking=True,
    op_tags=DATASET_FIRST,
    description="The policy loads and gives distributions.",
    metadata={"severity": "error", "remedy": "Train the policy again."},
)
@needs_output
def policy_acts(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A broken policy would spend a generation's money on noise."""
    artefact = store.current("trained_policy")
    try:
        actor = load_policy(artefact).actor()
    except ValueError as error:
        return verdict(False, str(error))
    seeds, _ = policy_seeds(store.current("seed_instructions"))
    chances = np.array([actor.probabilities(start(seed_id, seed)) for seed_id, seed in seeds.items()])
    sound = bool(np.isfinite(chances).all() and (chances >= 0).all() and np.allclose(chances.sum(axis=1), 1))
    return verdict(sound, f"probabilities on {len(chances)} seeds {'are' if sound else 'are not'} distributions")


@dg.asset_check(
    asset="trained_policy",
    description="The reward varies, so there is something to learn.",
    metadata={
        "severity": "warning",
        "remedy": "Nothing can be learnt where every edit earns the same: configure another reviewer or reward.",
    },
)
@needs_output
def reward_is_not_flat(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """Where any edit is accepted, no policy can beat another."""
    facts = store.current("trained_policy").read_facts(PolicyFacts)
    return warning(
        not facts.flat_reward,
        f"the reward's variance under the untrained policy is {facts.reward_variance:.4f}",
        reward_variance=facts.reward_variance,
    )


@dg.asset_check(
    asset="trained_policy",
    additional_deps=["base_model"],
    description="A policy that reads with the student reads with the one that `base_model` is now.",
    metadata={"severity": "warning", "remedy": "Train the policy again: it is made from another `base_model`."},
)
@needs_output
def policy_reads_the_current_student(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """The student is an input of some policies alone, so the asset does not wait for it; a change of it shows here."""
    read = store.current("trained_policy").manifest["inputs"].get("base_model")
    if read is None:
        return not_applicable("the policy does not read with the project's student")
    now = store.current("base_model").data_version
    return warning(read == now, f"the policy reads with base_model {read}, and it is {now} now")


@dg.asset_check(
    asset="policy_comparison",
    description="On held-out seeds the policy beats uniform, interval and all, in distinct accepted edits per query and"
    " in accepted edits per episode: one that stops early gains in the first alone. Says how much of its allowance it"
    " asked, where it left much.",
    metadata={
        "severity": "warning",
        "remedy": "Train longer, or draw operations at random: the policy is not worth its training yet.",
    },
)
@needs_output
def policy_beats_uniform(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """Otherwise the same money is better spent on drawing operations at random."""
    scores = {s.metric: s for s in read_policy_scores(store.current("policy_comparison")) if s.policy == TRAINED}
    gains = {metric: scores[f"{metric}_minus_uniform"] for metric in (HEADLINE, "accepted_per_episode")}
    told = [
        f"{words(metric)} minus uniform's: {gain.mean:+.3f}, 95% interval {gain.ci_low:+.3f} to {gain.ci_high:+.3f}"
        for metric, gain in gains.items()
    ]
    if unused := left_unused(scores.get(ALLOWANCE_USED)):
        told.append(unused)
    return warning(all(gain.ci_low > 0 for gain in gains.values()), "; ".join(told), minus_uniform=gains[HEADLINE].mean)
