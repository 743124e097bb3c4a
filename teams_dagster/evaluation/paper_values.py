"""The paper's table with ours beside it, from what every stage recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from teams_dagster.core.text import NANO
from teams_dagster.dataset.arms import TRAINED_ARM, UNIFORM_ARM, arm_of
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.scoring import ratings_asked, scores_used
from teams_dagster.dataset.yields import expert_yield
from teams_dagster.evaluation.harness.benchmarks import LEADERBOARD
from teams_dagster.evaluation.paper import (
    BASE,
    COLUMNS,
    DIFFERENCE,
    EVOL_INSTRUCT_QUERIES,
    LORA,
    LORA_UNIFORM,
    QLORA,
    TRAINED_ON,
    PaperValue,
    trained_on,
)
from teams_dagster.evaluation.privacy import LOSS
from teams_dagster.evaluation.rlgf.scores import RLGF
from teams_dagster.evaluation.rlgf.stored import comparable_scores
from teams_dagster.evaluation.scores import AGAINST_LORA, CHOICE, HELD_OUT, OWN_SIDE
from teams_dagster.evaluation.statistics import normal_interval
from teams_dagster.evaluation.stored import (
    read_evaluation_scores,
    read_privacy,
    read_win_rates,
)
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts
from teams_dagster.store.facts.rlgf import RLGFScoreFacts

SCORED = {
    "heldout_loss": (HELD_OUT, "heldout_loss"),
    "choice_accuracy": (CHOICE, "choice_accuracy"),
    "heldout_loss_uniform_arm": (f"{HELD_OUT}{OWN_SIDE}", "heldout_loss"),
    "choice_accuracy_uniform_arm": (f"{CHOICE}{OWN_SIDE}", "choice_accuracy"),
    "arc": (LEADERBOARD["arc"].task, "acc_norm"),
    "hellaswag": (LEADERBOARD["hellaswag"].task, "acc_norm"),
    "mmlu": (LEADERBOARD["mmlu"].task, "acc"),
    "truthfulqa": (LEADERBOARD["truthfulqa"].task, "acc"),
    "gsm8k": (LEADERBOARD["gsm8k"].task, "exact_match,strict-match"),
}
"""By quantity, the task and metric of `evaluation_scores`."""


def uniform_arm(store: ArtefactStore, scored: Artefact) -> tuple[dict[str, Artefact], str]:
    """The uniform arm's dataset and scores, by asset key; without any, why they are not in the table.

    Args:
        scored: The scores of the main line, which those of the arm have to be beside.
    """
    if not store.exists("uniform_scores"):
        return {}, "the uniform arm was not made: job uniform_arm makes it"
    scores = store.current("uniform_scores")
    compared, ours = (artefact.manifest["inputs"]["lora_model"] for artefact in (scores, scored))
    if compared != ours:
        note = f"the uniform arm was compared with lora_model {compared}, and it is {ours} now: job uniform_arm again"
        return {}, note
    version = scores.manifest["inputs"][UNIFORM_ARM.dataset]
    return {UNIFORM_ARM.dataset: store.of_version(UNIFORM_ARM.dataset, version), "uniform_scores": scores}, ""


def token_trainings(store: ArtefactStore, scored: Artefact) -> dict[str, Artefact]:
    """By column the last `rlgf_scores` of each algorithm that trained on from the adapter whose scores are `scored`."""
    same = ("lora_model", "instruction_dataset")

    def stands_on(artefact: Artefact) -> list[str]:
        return [artefact.manifest["inputs"][name] for name in same]

    return {_column(each): each for each in comparable_scores(store) if stands_on(each) == stands_on(scored)}


def _column(scored: Artefact) -> str:
    return trained_on(scored.read_facts(RLGFScoreFacts).stages[-1].algorithm)


def our_values(store: ArtefactStore, read: Mapping[str, Artefact]) -> Iterator[PaperValue]:
    """Our numbers for the columns of the table, from the artefacts `read`, by asset key or column of a training."""
    for adapter in (LORA, QLORA):
        yield from of_dataset(store, read[TRAINED_ARM.dataset], adapter)
    yield from _of_scores(read["evaluation_scores"])
    judged = read["judged_win_rate"]
    yield from _of_win_rates(judged)
    yield from _of_audit(read["privacy_audit"])
    if "uniform_scores" in read:
        yield from of_dataset(store, read[UNIFORM_ARM.dataset], LORA_UNIFORM)
        yield from _of_scores(read["uniform_scores"])
        yield from _of_audit(read["uniform_scores"], only=LORA_UNIFORM)
    for column in TRAINED_ON.keys() & read.keys():
        yield from of_training(read[column], column)


def of_training(scored: Artefact, column: str) -> Iterator[PaperValue]:
    """What a token-level training came to, and what it took with the dataset before it."""
    stage = scored.read_facts(RLGFScoreFacts).stages[-1]
    yield PaperValue("queries", column, stage.queries, None, None, _named(scored))
    if stage.cost_nano_usd is not None:
        yield PaperValue("cost", column, stage.cost_nano_usd / NANO, None, None, _named(scored))
    for value in (*_of_scores(scored, [RLGF]), *_of_win_rates(scored), *_of_audit(scored)):
        if value.whose == RLGF:
            yield replace(value, whose=column)


def of_dataset(store: ArtefactStore, dataset: Artefact, adapter: str) -> Iterator[PaperValue]:
    """What the dataset of an adapter holds, and what it took."""
    arm = arm_of(dataset.manifest["asset_key"])
    card = DataCard.from_json(dataset.path(CARD).read_text(encoding="utf-8"))
    inputs, generations = dataset.manifest["inputs"], dataset.read_facts(DatasetFacts).generations
    answered = [store.of_version(arm.responses, inputs[f"{arm.responses} {week}"], week) for week in generations]
    asked = expert_yield(store, answered)
    expert, ratings = asked.rewrites + asked.responses, sum(map(ratings_asked, scores_used(store, inputs)))
    counts = {
        "pairs": card.examples["train"],
        "expert_queries": expert,
        "review_queries": card.queries - expert - ratings,
        "rating_queries": ratings,
        "queries": card.queries,
        "expert_queries_share": expert / EVOL_INSTRUCT_QUERIES,
        "queries_share": card.queries / EVOL_INSTRUCT_QUERIES,
    }
    if card.cost_nano_usd is not None:
        counts["cost"] = card.cost_nano_usd / NANO
    for quantity, count in counts.items():
        yield PaperValue(quantity, adapter, count, None, None, _named(dataset))


def _of_win_rates(judged: Artefact) -> Iterator[PaperValue]:
    for rate in read_win_rates(judged):
        if rate.against == BASE and rate.length_controlled is not None:
            yield PaperValue("win_rate", rate.model, rate.length_controlled, rate.lc_low, rate.lc_high, _named(judged))


def _of_audit(audited: Artefact, *, only: str | None = None) -> Iterator[PaperValue]:
    for result in read_privacy(audited):
        if result.attack == LOSS and only in (None, result.model):
            yield PaperValue("membership_auc", result.model, result.auc, result.ci_low, result.ci_high, _named(audited))


def _of_scores(scored: Artefact, models: Collection[str] = tuple(COLUMNS)) -> Iterator[PaperValue]:
    """Scores of models, and the paired differences of the uniform arm's adapter."""
    wanted = {named: quantity for quantity, named in SCORED.items()}
    for score in read_evaluation_scores(scored):
        metric, whose = score.metric, score.model
        if whose == LORA_UNIFORM and metric.endswith(AGAINST_LORA):
            metric, whose = metric.removesuffix(AGAINST_LORA), DIFFERENCE
        quantity = wanted.get((score.task, metric))
        if quantity and whose in models:
            low, high = normal_interval(score.value, score.stderr)
            yield PaperValue(quantity, whose, score.value, low, high, _named(scored))


def _named(artefact: Artefact) -> str:
    return f"{artefact.manifest['asset_key']} {artefact.data_version}"
