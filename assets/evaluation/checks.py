"""Checks of the models and their scores."""

import dagster as dg

from assets.check_results import needs_output, not_run, warning
from teams_dagster.evaluation.stored import read_evaluation_scores, read_privacy, read_win_rates
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.student.stored import ADAPTERS

MOST_UNCLEAR = 0.05
"""Of a judge's verdicts."""

MOST_CONTRADICTORY = 1 / 3
"""Of the pairs that a judge saw in both orders: GPT-4 contradicted itself on 35% of MT-Bench's (2306.05685)."""

REFERENCES = {
    "base": ("base", "more samples, or another learning rate"),
    "unigram": ("token frequencies", "train longer: it learnt which words there are, and little more"),
}
"""What an adapter's held-out loss has to be below, in words, and what to do where it is not."""


def _better_check(name: str, reference: str) -> dg.AssetChecksDefinition:
    told, advice = REFERENCES[reference]

    @dg.asset_check(
        asset="evaluation_scores",
        name=f"{name}_is_better_than_{reference}",
        description=f"On held-out seeds the adapter's loss is below that of {told}, beyond two standard errors.",
        metadata={"severity": "warning", "remedy": f"{advice[0].upper()}{advice[1:]}."},
    )
    @needs_output
    def better_than(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
        scores = read_evaluation_scores(store.current("evaluation_scores"))
        score = next((s for s in scores if (s.model, s.metric) == (name, f"heldout_loss_vs_{reference}")), None)
        if score is None:
            return not_run("an earlier version of this software made these scores: materialise evaluation_scores")
        better = score.value + 2 * (score.stderr or float("inf")) < 0
        return warning(
            better,
            f"{name} minus {told}: {score.value:+.4f} nats per token, standard error {score.stderr}, {score.n} seeds"
            + ("" if better else f": {advice}"),
        )

    return better_than


def _choice_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="evaluation_scores",
        name=f"{name}_chooses_as_well_as_base",
        description="On held-out seeds the adapter picks the right response no less often than the base, beyond two"
        " standard errors.",
        metadata={
            "severity": "warning",
            "remedy": "The fine-tune unlearnt something: fewer epochs, or a lower learning rate.",
        },
    )
    @needs_output
    def chooses_as_well(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
        scores = read_evaluation_scores(store.current("evaluation_scores"))
        score = next(s for s in scores if (s.model, s.metric) == (name, "choice_accuracy_vs_base"))
        if score.stderr is None:
            return not_run(f"{score.n} held-out seeds give no standard error: more are needed")
        worse = score.value < -2 * score.stderr
        finding = f"{name} minus base: {score.value:+.3f} of the questions, standard error {score.stderr:.3f}"
        advice = ": the fine-tune unlearnt something; fewer epochs or a lower learning rate may help" if worse else ""
        return warning(not worse, f"{finding}, {score.n} seeds{advice}")

    return chooses_as_well


lora_is_better_than_base, qlora_is_better_than_base = (_better_check(name, "base") for name in ADAPTERS)
lora_is_better_than_unigram, qlora_is_better_than_unigram = (_better_check(name, "unigram") for name in ADAPTERS)
lora_chooses_as_well_as_base, qlora_chooses_as_well_as_base = (_choice_check(name) for name in ADAPTERS)


@dg.asset_check(
    asset="privacy_audit",
    description="The adapters leak no more than the base, beyond the interval.",
    metadata={"severity": "warning", "remedy": "Train for fewer epochs, or on more samples."},
)
@needs_output
def adapters_do_not_leak(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """Members of the training side should not stand out to any of the attacks."""
    results = [r for r in read_privacy(store.current("privacy_audit")) if r.model != "base"]
    leaking = [r.model for r in results if r.minus_base_low > 0]
    unsure = list(dict.fromkeys(r.model for r in results if r.too_small_to_tell))
    findings = ", ".join(f"{r.model} by {r.attack} {r.auc_minus_base:+.3f}" for r in results)
    if unsure and not leaking:
        return warning(False, f"too small to tell for {', '.join(unsure)}; AUC minus the base's: {findings}")
    return warning(not leaking, f"AUC minus the base's: {findings}")


@dg.asset_check(
    asset="judged_win_rate",
    description="The judge says whom it prefers, and says the same in both orders: at most 5% of its verdicts are"
    " unclear, and at most a third of the pairs contradictory.",
    metadata={"severity": "warning", "remedy": "Ask another judge (`TEAMS_JUDGE_MODEL`)."},
)
@needs_output
def judge_agrees_with_itself(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A win rate by a judge that looks at the place of an answer says nothing of the answer."""
    rates = read_win_rates(store.current("judged_win_rate"))
    pairs = sum(rate.pairs for rate in rates)
    unclear = sum(rate.unclear for rate in rates) / (2 * pairs)
    contradictory = sum(rate.contradictory for rate in rates) / pairs
    passed = unclear <= MOST_UNCLEAR and contradictory <= MOST_CONTRADICTORY
    advice = "" if passed else ": ask another judge (TEAMS_JUDGE_MODEL)"
    return warning(
        passed, f"{unclear:.1%} of its verdicts are unclear, {contradictory:.1%} of {pairs} pairs contradictory{advice}"
    )
