"""The data card: what the dataset is, how it was made, what it cost and what it cannot tell (Gebru et al. 2021).

Markdown with the YAML header that the Hugging Face Hub reads. The same facts give the same bytes: no clock is read.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from teams_dagster.instructions.seed_splits import Split

NANO = 1_000_000_000


@dataclass(frozen=True)
class DataCard:
    """The facts that a card tells."""

    name: str
    dataset_version: str
    licence: str
    """An identifier that the Hub knows (`apache-2.0`, `other`)."""
    licence_note: str
    """What binds the answers: the terms of the models that wrote them."""
    languages: tuple[str, ...]
    """ISO 639-1 codes; none where it is not known."""
    seeds_source: str
    seeds_sha256: str
    seeds_used: int
    seeds_refused: Mapping[str, int]
    """Rows refused, by reason."""
    generations: tuple[str, ...]
    """Partition keys."""
    examples: Mapping[Split, int]
    dropped: Mapping[str, int]
    """Samples left out, by reason."""
    models: Mapping[str, str]
    """Role to model."""
    policy_version: str
    queries: int
    cost_nano_usd: int | None
    """None where the price of a model is not known."""
    evaluation_sets: tuple[str, ...]
    """What the dataset was checked against for contamination."""
    limits: tuple[str, ...]


def render_card(card: DataCard) -> str:
    """The text of the dataset's `README.md`."""
    total = sum(card.examples.values())
    sections = [
        _front_matter(card, total),
        f"# {_inline(card.name)}",
        f"{total:,} instructions with answers, made by TeaMs-RL (teams-dagster) from {card.seeds_used:,} seeds that "
        "people wrote: a learned policy chose how each instruction was rewritten, a language model rewrote and "
        "answered it. The texts are synthetic.",
        f"Dataset version `{card.dataset_version}`, policy version `{card.policy_version}`.",
        "## Examples",
        _table(("split", "examples"), card.examples.items()),
        "The split follows the seed: near-duplicate seeds, and all that was made from one seed in any generation, are "
        "on one side.",
        "## Where it comes from",
        f"Seeds: `{_code(card.seeds_source)}`, SHA-256 `{card.seeds_sha256}`. "
        f"Generations: {_inline(', '.join(card.generations)) or 'none'}.",
        _table(("role", "model"), sorted(card.models.items())),
        "## What was left out",
        _table(("seed rows refused", "rows"), sorted(card.seeds_refused.items())),
        _table(("samples dropped", "samples"), sorted(card.dropped.items())),
        _contamination(card.evaluation_sets),
        "## What it cost",
        f"{card.queries:,} queries, {_dollars(card.cost_nano_usd)}.",
        "## Licence",
        _inline(card.licence_note),
        "## Limits",
        "\n".join(f"- {_inline(limit)}" for limit in card.limits),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(card: DataCard, total: int) -> str:
    header = {
        "pretty_name": card.name,
        "license": card.licence,
        "language": list(card.languages),
        "task_categories": ["text-generation"],
        "size_categories": [_size_category(total)],
        "tags": ["instruction-tuning", "synthetic", "teams-rl"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}.parquet"} for split in card.examples],
            }
        ],
    }
    lines = (f"{key}: {_yaml(value)}" for key, value in header.items() if value)
    return "\n".join(["---", *lines, "---"])


def _yaml(value: object) -> str:
    """`value` as JSON, which is YAML, with YAML's own escapes for what is not ASCII."""
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", json.dumps(value, ensure_ascii=False))


def _size_category(total: int) -> str:
    """The Hub's name for a number of rows."""
    bounds = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
    return next((name for bound, name in bounds if total < bound), "n>10M")


def _table(header: tuple[str, str], rows: Iterable[tuple[str, object]]) -> str:
    body = [
        f"| {_inline(name)} | {_inline(f'{value:,}' if isinstance(value, int) else str(value))} |"
        for name, value in rows
    ]
    return "\n".join([f"| {header[0]} | {header[1]} |", "|---|---|", *body]) if body else ""


def _contamination(evaluation_sets: tuple[str, ...]) -> str:
    if not evaluation_sets:
        return "It was not checked against any evaluation set."
    return f"No row shares 13 words in a row with: {_inline(', '.join(evaluation_sets))}."


def _dollars(nano_usd: int | None) -> str:
    if nano_usd is None:
        return "at a cost that is not known, because a model has no price in the table"
    return f"{nano_usd // NANO}.{nano_usd % NANO:09d} US dollars"


def _inline(text: str) -> str:
    """`text` on one line, with no mark-up of its own."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
