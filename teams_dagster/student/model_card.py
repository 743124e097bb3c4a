"""The model card: what an adapter is, on what it was trained, how, what that cost and how it scored.

Markdown with the YAML header that the Hugging Face Hub reads. The same facts give the same bytes: no clock is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teams_dagster.core.markdown import card_table, front_matter, inline
from teams_dagster.dataset.card import DataCard, cost_in_words
from teams_dagster.student.adapter_config import AdapterConfig, departures_from_paper, too_few_updates


@dataclass(frozen=True)
class Scored:
    """One score of a model, as table `evaluation_scores` has it."""

    task: str
    metric: str
    value: float
    stderr: float | None


@dataclass(frozen=True)
class ModelCard:
    """The facts that a card tells."""

    model_version: str
    base: str
    """A hub id, or what the base is called."""
    base_version: str
    base_on_hub: bool
    dataset: DataCard
    lineage_sha256: str
    """Hash of the dataset's `lineage.parquet`: each training example with the chain that made it."""
    config: AdapterConfig
    report: dict[str, Any]
    """The training's own."""
    merged: bool = False
    """Whether the folder holds the adapter merged into its base."""
    scores: tuple[Scored, ...] = ()
    chain_head: str | None = None
    """Head of the chain that seals ledger and artefacts, where the card was written by someone who has it."""

    def write(self, folder: Path) -> None:
        """Writes `README.md` into a model's folder."""
        (folder / "README.md").write_text(render_model_card(self), encoding="utf-8")


def render_model_card(card: ModelCard) -> str:
    """The text of the `README.md` beside a model."""
    kind = {"lora": "A LoRA adapter", "qlora": "A QLoRA adapter", "full": "A fine-tuned model"}[card.config.kind]
    sections = [
        front_matter(_header(card)),
        f"# {kind} of {inline(card.base)}" + (", merged into it" if card.merged else ""),
        f"Fine-tuned on instructions that TeaMs-RL (teams-dagster) wrote and answered. Model version"
        f" `{card.model_version}`, base version `{card.base_version}`.",
        *_data(card),
        "## Training",
        card_table(("setting", "value"), _settings(card.config)),
        *_training(card),
        "## Scores",
        _scores(card),
        "## How to ask it",
        f"Prompts are rendered by the {card.report['template']} chat template; `recipe.json` has its version. A prompt"
        " that is written otherwise is one that the model never saw.",
        "## Limits",
        "\n".join(f"- {inline(limit)}" for limit in (*card.dataset.biases, *card.dataset.limits)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _header(card: ModelCard) -> dict[str, object]:
    return {
        "base_model": card.base if card.base_on_hub else None,
        "library_name": "transformers" if card.config.kind == "full" or card.merged else "peft",
        "license": card.dataset.licence,
        "pipeline_tag": "text-generation",
        "tags": ["teams-rl", card.config.kind, "sft", "trl"],
    }


def _data(card: ModelCard) -> Iterator[str]:
    report, dataset = card.report, card.dataset
    yield "## Data"
    yield (
        f"Dataset version `{dataset.dataset_version}`: {report['examples']:,} examples trained it,"
        f" {report['validation_examples']:,} were only measured, {len(report['too_long']):,} were too long,"
        f" {len(report.get('unwritable', ())):,} could not be written by its tokenizer. Each"
        f" example's lineage is in `lineage.parquet` of that dataset, SHA-256 `{card.lineage_sha256}`."
    )
    if card.chain_head:
        yield f"Head of the chain that seals ledger and artefacts: `{card.chain_head}`."
    yield f"It took {dataset.queries:,} queries, {cost_in_words(dataset.cost_nano_usd)}. {inline(dataset.licence_note)}"


def _settings(config: AdapterConfig) -> Iterator[tuple[str, object]]:
    for name, value in config.model_dump(mode="json").items():
        if value is not None:
            yield name, value


def _training(card: ModelCard) -> Iterator[str]:
    report = card.report
    validation = [point["validation_loss"] for point in report["curve"] if point["validation_loss"] is not None]
    yield (
        f"{report['updates']:,} updates of {report['planned_updates']:,} planned, on {report['processes']} x"
        f" {inline(report['device'])} in {report['dtype']}; loss on the response only, {report['response_tokens']:,}"
        " response tokens a pass."
        + (f" {report['reasoned']:,} examples were learnt with their thought." if report.get("reasoned") else "")
        + (f" Validation loss from {validation[0]:.4f} to {min(validation):.4f} nats a token." if validation else "")
    )
    if few := too_few_updates(report["updates"]):
        yield f"**{few[0].upper()}{few[1:]}.**"
    if card.config.template == "alpaca" and (departures := departures_from_paper(card.config)):
        yield f"Against the paper's fine-tuning: {inline('; '.join(departures))}."


def _scores(card: ModelCard) -> str:
    if not card.scores:
        return "Not scored when this card was written."
    rows = [
        (f"{s.task}, {s.metric}", f"{s.value:.4f}" + (f" ± {s.stderr:.4f}" if s.stderr else "")) for s in card.scores
    ]
    return card_table(("task and metric", "value, standard error"), rows)
