"""The paper's table: what is known of its numbers, each with its source and its doubt, and ours beside it.

What could not be established is None: nothing is filled in. Ours stand beside theirs only where both mean the same. All
numbers are of models of seven billion parameters; those of another student are no reproduction of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from teams_dagster.rlgf.config import TITLES

WIZARDLM, TEAMS_RL = "wizardlm_7b", "teams_rl_7b"
BASE, LORA, QLORA, LORA_UNIFORM = "base", "lora", "qlora", "lora_uniform"
DIFFERENCE = "lora_uniform_minus_lora"


def trained_on(algorithm: str) -> str:
    """Whose numbers those are of the LoRA adapter after a token-level training by `algorithm`."""
    return f"{LORA}_{algorithm}"


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

TRAINED_ON = {trained_on(name): f"LoRA + {title}" for name, title in TITLES.items()}
"""The same of what a token-level training made of the LoRA adapter; the table has those that were made."""

EVOL_INSTRUCT_QUERIES = 624_000
PAPER_PAIRS = 17_878
PAPER_QUERIES = 2 * PAPER_PAIRS

EVOL_INSTRUCT_REVIEWS = EVOL_INSTRUCT_QUERIES // 3

ABSTRACT = "abstract (arXiv 2403.08694)"
SUMMARY = "a third party's summary of the paper; not found in what its authors published"
CODE = "the authors' public code"
DERIVED = "derived, not quoted"
CALLS = "52,000 seeds x 4 rounds x 3 calls for WizardLM: one to rewrite, one to check, one to answer"
TWO_A_PAIR = "one rewrite and one answer for each pair for TeaMs-RL"


@dataclass(frozen=True)
class PaperFact:
    """A quantity, and what is known of the paper's own numbers."""

    quantity: str
    """As people read it."""
    unit: str
    wizardlm: float | None = None
    """Of the paper's baseline, WizardLM-7b; None where it is not known."""
    teams_rl: float | None = None
    """Of the paper's own model; None where it is not known."""
    source: str = ""
    """Where both are from; empty where neither is known."""
    doubt: str = ""
    """Why the numbers may not be what they seem, or why there is none; empty where nothing is to be said."""

    @property
    def note(self) -> str:
        """Source and doubt in a line; empty where there is neither."""
        return "; ".join(filter(None, (self.source, self.doubt)))


FACTS = {
    "pairs": PaperFact("training set", "pairs", None, PAPER_PAIRS, SUMMARY, f"fits the abstract's 5.73%: {TWO_A_PAIR}"),
    "pairs_share": PaperFact(
        "training set, of WizardLM's",
        "share",
        None,
        0.0675,
        SUMMARY,
        "of about 265,000 pairs, where WizardLM is said to have 250,000 (7.15%)",
    ),
    "expert_queries": PaperFact(
        "queries, to rewrite and to answer",
        "queries",
        EVOL_INSTRUCT_QUERIES - EVOL_INSTRUCT_REVIEWS,
        PAPER_QUERIES,
        DERIVED,
        f"{CALLS}; {TWO_A_PAIR}",
    ),
    "review_queries": PaperFact(
        "queries, to review",
        "queries",
        EVOL_INSTRUCT_REVIEWS,
        0,
        f"{DERIVED}, and {CODE}",
        "TeaMs-RL reviews while its policy trains, by a local model, and nothing while it generates",
    ),
    "rating_queries": PaperFact("queries, to rate pairs", "queries", 0, 0, DERIVED, "neither rates its pairs"),
    "queries": PaperFact(
        "queries, reviews and ratings included",
        "queries",
        EVOL_INSTRUCT_QUERIES,
        PAPER_QUERIES,
        DERIVED,
        "the three rows above",
    ),
    "expert_queries_share": PaperFact(
        "queries, of WizardLM's, as the paper counts",
        "share",
        None,
        0.0573,
        ABSTRACT,
        "its two calls a pair over WizardLM's three: unlike is compared, and policy training, reviews and what was"
        " refused are left out",
    ),
    "queries_share": PaperFact("queries, of WizardLM's, reviews and ratings included", "share"),
    "cost": PaperFact("cost of these queries", "US dollars"),
    "heldout_loss": PaperFact("held-out loss", "nats a token, lower is better"),
    "choice_accuracy": PaperFact("response choice", "share of questions"),
    "heldout_loss_uniform_arm": PaperFact("held-out loss, on the uniform arm's seeds", "nats a token, lower is better"),
    "choice_accuracy_uniform_arm": PaperFact("response choice, on the uniform arm's seeds", "share of questions"),
    "win_rate": PaperFact("judged against the base, at equal length", "share won"),
    "arc": PaperFact(
        "ARC challenge, 25 shots",
        "acc_norm",
        doubt="a third party's summary shows 54.35 as the first of two figures, without the shots, the measure or whose"
        " it is, so no column has it",
    ),
    "hellaswag": PaperFact("HellaSwag, 10 shots", "acc_norm"),
    "mmlu": PaperFact("MMLU, 5 shots", "acc"),
    "truthfulqa": PaperFact("TruthfulQA mc2", "acc"),
    "gsm8k": PaperFact("GSM8K, 5 shots", "strict match"),
    "membership_auc": PaperFact("membership inference by loss", "AUC, nearer 0.5 leaks less"),
    "membership_auc_unknown_attack": PaperFact(
        "membership inference, attack unknown",
        "AUC, nearer 0.5 leaks less",
        0.72,
        0.47,
        SUMMARY,
        "attack, split of the data and sizes were not found, so ours are not beside them",
    ),
}
"""By key, in the order of the table."""


@dataclass(frozen=True)
class PaperValue:
    """One number; the fields are the table's columns."""

    quantity: str
    """A key of FACTS."""
    whose: str
    """A key of COLUMNS or TRAINED_ON."""
    value: float
    ci_low: float | None
    """95% interval, where there is one."""
    ci_high: float | None
    source: str
    """Of the paper's numbers where they are from; of ours the asset and its version."""


def paper_table(ours: Iterable[PaperValue]) -> list[PaperValue]:
    """The paper's numbers and `ours`, in the order of the table."""
    theirs = [
        PaperValue(key, whose, value, None, None, fact.note)
        for key, fact in FACTS.items()
        for whose, value in ((WIZARDLM, fact.wizardlm), (TEAMS_RL, fact.teams_rl))
        if value is not None
    ]
    quantities, columns = list(FACTS), [*COLUMNS, *TRAINED_ON]
    return sorted([*theirs, *ours], key=lambda v: (quantities.index(v.quantity), columns.index(v.whose)))


def paper_columns(values: Iterable[PaperValue]) -> dict[str, str]:
    """Whose numbers the table of `values` has, with their headings: a token-level training only where it was made."""
    known = {value.whose for value in values}
    return COLUMNS | {whose: heading for whose, heading in TRAINED_ON.items() if whose in known}


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
    return [PaperRow(FACTS.get(key, PaperFact(key, "")), found) for key, found in cells.items()]
