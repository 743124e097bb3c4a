"""The paper's table with ours beside it: TeaMs-RL (arXiv 2403.08694) and its baseline, WizardLM.

What the paper does not say, or what could not be established, is a blank. Shares and AUCs are as the paper prints them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from teams_dagster.evaluation.privacy import LOSS, MembershipScore
from teams_dagster.evaluation.scores import CHOICE, HELD_OUT, UNIFORM_SIDE, Score
from teams_dagster.evaluation.statistics import normal_interval

WIZARDLM, TEAMS_RL = "paper_wizardlm_7b", "paper_teams_rl_7b"
BASE, LORA, QLORA, LORA_UNIFORM = "base", "lora", "qlora", "lora_uniform"
DIFFERENCE = "lora_minus_lora_uniform"
COLUMNS = (WIZARDLM, TEAMS_RL, BASE, LORA, QLORA, LORA_UNIFORM, DIFFERENCE)

PAIRS, QUERIES, COST, AUC = "training pairs", "queries", "cost in US dollars", "membership inference AUC"
NOT_IN_PAPER, NOT_KNOWN = "not in the paper", "the paper's number is not known"


@dataclass(frozen=True)
class Fact:
    """A figure of the paper; None where its number is not known."""

    figure: str
    wizardlm_7b: float | None
    teams_rl_7b: float | None
    source: str
    task: str = ""
    """The benchmark by the harness's name, and the metric that the leaderboard reads."""
    metric: str = ""


FACTS = (
    Fact(PAIRS, None, 17_878, "summary page; WizardLM's number is not established (6.75% would imply about 264,900)"),
    Fact("training pairs, % of WizardLM's", 100.0, 6.75, "summary page"),
    Fact(
        QUERIES,
        624_000,
        35_756,
        "derived: 52,000 seeds x 4 rounds x 3 calls; one query to rewrite and one to answer each of 17,878 pairs",
    ),
    Fact("queries, % of WizardLM's", 100.0, 5.73, "abstract"),
    Fact(COST, None, None, NOT_KNOWN),
    Fact(
        "ARC, %",
        None,
        54.35,
        "summary page: the first figure shown, presumably TeaMs-RL's; the rest is cut off",
        "arc_challenge",
        "acc_norm",
    ),
    Fact("HellaSwag, %", None, None, NOT_KNOWN, "hellaswag", "acc_norm"),
    Fact("MMLU, %", None, None, NOT_KNOWN, "mmlu", "acc"),
    Fact("TruthfulQA, %", None, None, NOT_KNOWN, "truthfulqa_mc2", "acc"),
    Fact("GSM8K, %", None, None, NOT_KNOWN, "gsm8k", "exact_match,strict-match"),
    Fact(AUC, 0.72, 0.47, "summary page; attack, split and sizes are not known. Nearer to 0.5 is better"),
)

OWN_TASKS = (
    ("held-out loss, nats per token", HELD_OUT, "heldout_loss"),
    ("response choice, %", CHOICE, "choice_accuracy"),
    ("response choice less the response's own ease, %", CHOICE, "choice_accuracy_calibrated"),
    ("held-out loss on the uniform arm's side", f"{HELD_OUT}{UNIFORM_SIDE}", "heldout_loss"),
    ("response choice on the uniform arm's side, %", f"{CHOICE}{UNIFORM_SIDE}", "choice_accuracy"),
)
"""What this project asks beside the paper: figure, task, metric. Either arm's held-out side favours its own adapter."""


@dataclass(frozen=True)
class Cell:
    """A number, with its 95% interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PaperRow:
    """A figure in each column that has it."""

    figure: str
    source: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Ours:
    """What this project measured, as far as it is stored."""

    sizes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """PAIRS, QUERIES and COST to the figure of each model's dataset; without what is not known."""
    scores: Sequence[Score] = ()
    """Of the held-out side of the main dataset, and of benchmarks."""
    differences: Sequence[Score] = ()
    """Paired: lora minus lora_uniform on the same side."""
    privacy: Sequence[MembershipScore] = ()


def paper_table(ours: Ours) -> list[PaperRow]:
    """The paper's figures, then those that only this project has. Rows without any number of ours stay."""
    rows = [PaperRow(fact.figure, fact.source, dict(_cells(fact, ours))) for fact in FACTS]
    for figure, task, metric in OWN_TASKS:
        scale = 100 if task.startswith(CHOICE) else 1
        cells = dict(_scored(ours.scores, task, metric, scale))
        paired = [s for s in ours.differences if (s.task, s.metric) == (task, f"{metric}_{DIFFERENCE}")]
        if paired:
            cells[DIFFERENCE] = _cell(paired[0], scale)
        rows.append(PaperRow(figure, NOT_IN_PAPER, cells))
    return rows


def _cells(fact: Fact, ours: Ours) -> Iterator[tuple[str, Cell]]:
    for column, value in ((WIZARDLM, fact.wizardlm_7b), (TEAMS_RL, fact.teams_rl_7b)):
        if value is not None:
            yield column, Cell(value)
    for column, value in ours.sizes.get(fact.figure, {}).items():
        yield column, Cell(value)
    if fact.task:
        yield from _scored(ours.scores, fact.task, fact.metric, 100)
    if fact.figure == AUC:
        for found in ours.privacy:
            if found.attack == LOSS and found.model in COLUMNS:
                yield found.model, Cell(found.auc, found.ci_low, found.ci_high)


def _scored(scores: Sequence[Score], task: str, metric: str, scale: float) -> Iterator[tuple[str, Cell]]:
    for score in scores:
        if (score.task, score.metric) == (task, metric) and score.model in COLUMNS:
            yield score.model, _cell(score, scale)


def _cell(score: Score, scale: float) -> Cell:
    low, high = normal_interval(score.value, score.stderr)
    if low is None or high is None:
        return Cell(score.value * scale)
    return Cell(score.value * scale, low * scale, high * scale)


def caution(student: str, *, embedded: bool) -> str:
    """What to keep in mind beside the paper's numbers."""
    who = (
        "The embedded student is a tiny model made on the spot, no 7B model"
        if embedded
        else f"The student is {student}"
    )
    return (
        f"{who}. Its figures compare with one another, within this table; they neither reproduce nor contradict the"
        " paper's, which are of Llama models of 7B parameters on other tasks, data and attacks. A difference whose"
        " interval holds zero says that the policy's effect on the student was not seen, not that there is none."
        " Queries of ours are all rewrites, reviews and answers, kept or not; the paper's are two for each pair."
    )
