"""The card of a model that was trained token by token: from what, on what reward, by whose help, and what that cost.

Markdown with the YAML header that the Hugging Face Hub reads. The same facts give the same bytes: no clock is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teams_dagster.core.markdown import card_table, front_matter, inline
from teams_dagster.core.text import number
from teams_dagster.core.type_guards import is_dict
from teams_dagster.dataset.card import DataCard, cost_in_words
from teams_dagster.store.facts.rlgf import RLGFFacts, TextMetrics


@dataclass(frozen=True)
class RLGFCard:
    """The facts that a card tells."""

    model_version: str
    base: str
    """A hub id, or what the base is called."""
    base_version: str
    base_on_hub: bool
    start_version: str
    """Of `lora_model`, which the training began with."""
    dataset: DataCard
    """What `lora_model` was trained on."""
    facts: RLGFFacts

    def write(self, folder: Path) -> None:
        """Writes `README.md` into a model's folder."""
        (folder / "README.md").write_text(render_rlgf_card(self), encoding="utf-8")


def render_rlgf_card(card: RLGFCard) -> str:
    """The text of the `README.md` beside a model."""
    kind = "A model" if _whole(card) else "A LoRA adapter of"
    sections = [
        front_matter(_header(card)),
        f"# {kind} {inline(card.base)}, trained on by {inline(card.facts.algorithm)}",
        f"lora_model `{card.start_version}`, fine-tuned on instructions that TeaMs-RL (teams-dagster) wrote and"
        f" answered, trained on token by token. Model version `{card.model_version}`, base version"
        f" `{card.base_version}`.",
        *_data(card),
        "## Training",
        *_training(card.facts),
        card_table(("setting", "value"), _flat(card.facts.settings)),
        "## Before and after",
        "Of texts after evaluation prompts, before and after the training.",
        card_table(("metric", "before, after"), _moved(card.facts)),
        "## Limits",
        "\n".join(f"- {inline(limit)}" for limit in (*card.dataset.biases, *card.dataset.limits, *LIMITS)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


LIMITS = (
    "It was trained to earn this reward and measured by it: a reward that rises while perplexity or distinct-2 leave"
    " where they were is being exploited.",
)


def _whole(card: RLGFCard) -> bool:
    return card.facts.settings["weights"]["kind"] == "full"


def _header(card: RLGFCard) -> dict[str, object]:
    return {
        "base_model": card.base if card.base_on_hub else None,
        "library_name": "transformers" if _whole(card) else "peft",
        "license": card.dataset.licence,
        "pipeline_tag": "text-generation",
        "tags": ["teams-rl", "rlgf", card.facts.algorithm],
    }


def _data(card: RLGFCard) -> Iterator[str]:
    dataset, facts = card.dataset, card.facts
    yield "## Data"
    yield (
        f"Dataset version `{dataset.dataset_version}` of lora_model took {dataset.queries:,} queries,"
        f" {cost_in_words(dataset.cost_nano_usd)}. This training took {facts.guide_queries:,} queries to its guide and"
        f" {facts.judge_queries:,} to its judge, {cost_in_words(facts.cost_nano_usd)}. {inline(dataset.licence_note)}"
    )
    if facts.requests:
        yield f"Their ids are in `asked.txt` of the artefact; hash of them all: `{facts.requests}`."


def _training(facts: RLGFFacts) -> Iterator[str]:
    reward = "the task's own" if facts.judge is None else f"the preference of {facts.judge}"
    yield (
        f"Algorithm {inline(facts.algorithm)}, task {inline(facts.task)}, guide {inline(facts.guide)}, reward"
        f" {inline(reward)}: {facts.iterations:,} iterations, {facts.learner_tokens:,} tokens of the learner and"
        f" {facts.guide_tokens:,} of the guide."
    )


def _flat(settings: dict[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Every setting that has a value, by its path."""
    for name, value in settings.items():
        if is_dict(value):
            yield from _flat(value, f"{above}{name}.")
        elif value is not None:
            yield f"{above}{name}", value


def _moved(facts: RLGFFacts) -> Iterator[tuple[str, str]]:
    for name in TextMetrics.model_fields:
        before, after = (number(getattr(metrics, name), 4) for metrics in (facts.before, facts.after))
        yield name, f"{before}, {after}"
