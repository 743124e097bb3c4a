"""The paper's table: what its authors report, each number with its source, and ours beside it.

What could not be established is None: nothing is filled in. All numbers are of models of seven billion parameters;
those of another student are no reproduction of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WIZARDLM, TEAMS_RL = "wizardlm_7b", "teams_rl_7b"
BASE, LORA, QLORA, LORA_UNIFORM = "base", "lora", "qlora", "lora_uniform"
DIFFERENCE = "lora_uniform_minus_lora"
COLUMNS = {
    WIZARDLM: "WizardLM-7b (paper)",
    TEAMS_RL: "TeaMs-RL-7b (paper)",
    BASE: "base",
    LORA: "LoRA",
    QLORA: "QLoRA",
    LORA_UNIFORM: "uniform arm",
    DIFFERENCE: "its difference",
}
"""Whose numbers, in their order, with their headings."""

EVOL_INSTRUCT_QUERIES = 624_000
PAPER_PAIRS = 17_878
PAPER_QUERIES = 2 * PAPER_PAIRS

ABSTRACT = "abstract (arXiv 2403.08694)"
SUMMARY = "the authors' summary page"
DERIVED_QUERIES = (
    "derived: 52,000 seeds x 4 rounds x 3 calls, and one rewrite and one answer for each pair; the abstract's 5.73% is"
    " their ratio"
)


@dataclass(frozen=True)
class PaperFact:
    """A quantity, and what the paper says of it."""

    quantity: str
    """As people read it."""
    unit: str
    wizardlm: float | None
    """Of the paper's baseline, WizardLM-7b; None where it is not known."""
    teams_rl: float | None
    """Of the paper's own model; None where it is not known."""
    source: str
    """Where both are from; empty where neither is known."""


FACTS = {
    "pairs": PaperFact("dataset size", "pairs", None, PAPER_PAIRS, SUMMARY),
    "pairs_share": PaperFact("dataset size, of WizardLM's", "share", None, 0.0675, SUMMARY),
    "expert_queries": PaperFact(
        "queries, the expert's only", "queries", EVOL_INSTRUCT_QUERIES, PAPER_QUERIES, DERIVED_QUERIES
    ),
    "expert_queries_share": PaperFact("queries, of WizardLM's", "share", None, 0.0573, ABSTRACT),
    "queries": PaperFact("queries, reviews included", "queries", None, None, ""),
    "cost": PaperFact("cost of these queries", "US dollars", None, None, ""),
    "heldout_loss": PaperFact("held-out loss", "nats a token, lower is better", None, None, ""),
    "choice_accuracy": PaperFact("response choice", "share of questions", None, None, ""),
    "heldout_loss_uniform_arm": PaperFact(
        "held-out loss, on the uniform arm's seeds", "nats a token, lower is better", None, None, ""
    ),
    "choice_accuracy_uniform_arm": PaperFact(
        "response choice, on the uniform arm's seeds", "share of questions", None, None, ""
    ),
    "win_rate": PaperFact("judged against the base, at equal length", "share won", None, None, ""),
    "arc": PaperFact(
        "ARC challenge, 25 shots", "acc_norm", None, 0.5435, f"{SUMMARY}: the first of the figures shown there"
    ),
    "hellaswag": PaperFact("HellaSwag, 10 shots", "acc_norm", None, None, ""),
    "mmlu": PaperFact("MMLU, 5 shots", "acc", None, None, ""),
    "truthfulqa": PaperFact("TruthfulQA mc2", "acc", None, None, ""),
    "gsm8k": PaperFact("GSM8K, 5 shots", "strict match", None, None, ""),
    "membership_auc": PaperFact(
        "membership inference by loss",
        "AUC, nearer 0.5 leaks less",
        0.72,
        0.47,
        f"{SUMMARY}; its attack is not described",
    ),
}
"""By key, in the order of the table."""


@dataclass(frozen=True)
class PaperValue:
    """One number; the fields are the table's columns."""

    quantity: str
    """A key of FACTS."""
    whose: str
    """A key of COLUMNS."""
    value: float
    ci_low: float | None
    """95% interval, where there is one."""
    ci_high: float | None
    source: str
    """Of the paper's numbers where they are from; of ours the asset and its version."""


def paper_table(ours: Iterable[PaperValue]) -> list[PaperValue]:
    """The paper's numbers and `ours`, in the order of the table."""
    theirs = [
        PaperValue(key, whose, value, None, None, fact.source)
        for key, fact in FACTS.items()
        for whose, value in ((WIZARDLM, fact.wizardlm), (TEAMS_RL, fact.teams_rl))
        if value is not None
    ]
    quantities, columns = list(FACTS), list(COLUMNS)
    return sorted([*theirs, *ours], key=lambda v: (quantities.index(v.quantity), columns.index(v.whose)))


@dataclass(frozen=True)
class PaperRow:
    """A row as people read it: a quantity with what is known of it."""

    fact: PaperFact
    cells: Mapping[str, PaperValue]
    """By column; what is not known is missing."""


def paper_rows(values: Iterable[PaperValue]) -> list[PaperRow]:
    """The table's rows, all quantities among them; one that another version wrote and this does not know comes last."""
    cells: dict[str, dict[str, PaperValue]] = {key: {} for key in FACTS}
    for value in values:
        cells.setdefault(value.quantity, {})[value.whose] = value
    return [PaperRow(FACTS.get(key, PaperFact(key, "", None, None, "")), found) for key, found in cells.items()]
