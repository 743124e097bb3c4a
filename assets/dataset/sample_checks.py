"""Checks of samples: their texts, their scores, and that none is taken from what models are scored on."""

from collections.abc import Iterator

import dagster as dg

from assets.check_results import needs_output, not_applicable, not_run, verdict, warning
from assets.contamination import contamination_check
from teams_dagster.dataset.pair_settings import JUDGE
from teams_dagster.dataset.quality.answers import FEWEST_WORDS, KeptTexts, kept_texts
from teams_dagster.dataset.quality.duplicates import StoredText
from teams_dagster.dataset.quality.rating import Rating
from teams_dagster.dataset.quality.scores import UNANSWERED
from teams_dagster.dataset.scoring import SCORES
from teams_dagster.dataset.stored import NOTHING_KEPT, answered_generations, examples_in
from teams_dagster.instructions.ngrams import NGRAM_WORDS, PARAPHRASE_WORDS
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import PairScoreFacts

MOST_DECLINING = 0.02
"""Above one kept answer in fifty that declines, a student learns to decline what it was asked."""

MOST_SHORT = 0.1
"""Classification and arithmetic are answered in a word or two; a tenth of such answers is plenty."""


def _read(store: ArtefactStore) -> dict[str, KeptTexts]:
    """What the kept samples of each generation hold."""
    return {
        partition: kept_texts(
            responses.path("samples.parquet"),
            generated.path("transitions.parquet"),
            generated.path("instructions.parquet"),
        )
        for partition, generated, responses in answered_generations(store)
    }


def _sentence(found: dict[str, KeptTexts], kind: str) -> str:
    return "; ".join(
        f"generation {partition}: {getattr(texts, kind)} of {texts.kept} ({texts.share(kind):.1%}), such as"
        f" {', '.join(texts.examples[kind])}"
        for partition, texts in found.items()
    )


@dg.asset_check(
    asset="expert_responses",
    description="No kept sample has words of the prompts it was made with.",
    metadata={
        "severity": "error",
        "remedy": "Correct the prompt or change the model, and begin the generation again (`fresh: true`).",
    },
)
@needs_output
def no_prompt_words_leaked(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A student that is trained on our prompts' words writes them."""
    found = _read(store)
    if not any(texts.kept for texts in found.values()):
        return not_run(NOTHING_KEPT)
    leaking = {partition: texts for partition, texts in found.items() if texts.leaking}
    if leaking:
        return verdict(
            False,
            f"words of prompts in {_sentence(leaking, 'leaking')}. Look at them in table samples; begin the generation"
            " again with `fresh: true` once the prompt or the model is fixed",
            examples={partition: texts.examples["leaking"] for partition, texts in leaking.items()},
        )
    return verdict(True, f"none in {sum(texts.kept for texts in found.values())} kept samples")


@dg.asset_check(
    asset="expert_responses",
    description=f"At most {MOST_DECLINING:.0%} of the kept answers decline the task, and at most {MOST_SHORT:.0%} are a"
    " word or two.",
    metadata={"severity": "warning", "remedy": "Look at the samples named; another model or prompt answers better."},
)
@needs_output
def kept_answers_answer(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """The elimination rules know short apologies; a model that declines at length passes them."""
    found = _read(store)
    if not any(texts.kept for texts in found.values()):
        return not_run(NOTHING_KEPT)
    limits = {"declining": ("decline the task", MOST_DECLINING), "short": (f"under {FEWEST_WORDS} words", MOST_SHORT)}
    poor = []
    for kind, (what, most) in limits.items():
        over = {partition: texts for partition, texts in found.items() if texts.share(kind) > most}
        if over:
            poor.append(f"answers that {what} are above {most:.0%} in {_sentence(over, kind)}")
    kept = sum(texts.kept for texts in found.values())
    counts = {kind: sum(getattr(texts, kind) for texts in found.values()) for kind in limits}
    return warning(
        not poor,
        "; ".join(poor) or f"{counts['declining']} of {kept} decline, {counts['short']} are a word or two",
        **counts,
    )


MOST_UNREADABLE = 0.05
"""Of a generation's ratings."""


@dg.asset_check(
    asset="pair_scores",
    description=f"At most {MOST_UNREADABLE:.0%} of the judge's ratings could not be read or did not come.",
    metadata={
        "severity": "warning",
        "remedy": "Hold the judge to its replies (TEAMS_JUDGE_STRUCTURED), or take another judge.",
    },
)
def ratings_can_be_read(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A pair without a rating passes any threshold."""
    generations = [store.current(SCORES, week) for week in store.partitions(SCORES)]
    facts = {scores.manifest["partition_key"]: scores.read_facts(PairScoreFacts) for scores in generations}
    judged = {week: found for week, found in facts.items() if found.scored_by == JUDGE and found.pairs}
    if not judged:
        return not_applicable("no generation was scored by the judge")
    lost = {
        week: sum(found.ratings.get(name, 0) for name in (Rating.UNCLEAR, UNANSWERED)) for week, found in judged.items()
    }
    poor = {week: count for week, count in lost.items() if count > MOST_UNREADABLE * judged[week].pairs}
    told = "; ".join(f"generation {week}: {lost[week]} of {judged[week].pairs}" for week in poor or lost)
    return warning(not poor, f"ratings that could not be read or did not come: {told}", **lost)


def _samples(dataset: Artefact) -> Iterator[StoredText]:
    for example in examples_in(dataset):
        yield StoredText(
            example.sample_id,
            (example.instruction.text, example.instruction.input, example.response, example.reasoning or ""),
        )


contamination_of_samples = [
    contamination_check("instruction_dataset", "samples", _samples, size) for size in (NGRAM_WORDS, PARAPHRASE_WORDS)
]
