"""What a run says at its end, in a terminal: plain values in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from teams_dagster.core.text import about_dollars, dollars, interval, number, percent, short_count, visible, words
from teams_dagster.dataset.pair_costs import PairCost
from teams_dagster.evaluation.paper import EVOL_INSTRUCT_QUERIES
from teams_dagster.evaluation.scores import Score as EvaluationScore
from teams_dagster.evaluation.win_rate import WinRate
from teams_dagster.ledger.budgets import Budget, Spent
from teams_dagster.ledger.costs import Cost
from teams_dagster.policy.comparison.scores import ALLOWANCE_USED, HEADLINE
from teams_dagster.policy.comparison.scores import Score as PolicyScore
from teams_dagster.pricing.forecast import Estimate, spread
from teams_dagster.report.costs import PAIR_HEADER, pair_rows
from teams_dagster.report.policy_scores import break_even_lines, gap_shares, policies_table
from teams_dagster.report.win_rates import at_equal_length

NO_BUDGET = "no budget is set: TEAMS_BUDGET_USD, TEAMS_BUDGET_QUERIES or TEAMS_BUDGET_TOKENS bounds what may be spent"


@dataclass(frozen=True)
class Made:
    """One asset of a run."""

    asset_key: str
    seconds: float
    reused: bool


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns of equal width, the first to the left and the others to the right. Cells stay on one line, and inert."""
    lines = [[visible(cell).replace("\n", " ") for cell in row] for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def made_lines(made: Sequence[Made]) -> list[str]:
    """Each asset with how long it took."""
    return table(
        ("asset", "seconds", ""), [(m.asset_key, f"{m.seconds:.1f}", "reused" if m.reused else "made") for m in made]
    )


def cost_lines(by_role: Sequence[Cost]) -> list[str]:
    """What was asked and paid over the ledger's life, by role."""
    if not by_role:
        return ["Nothing was asked yet."]
    rows = [
        (cost.group["role"] or "-", f"{cost.asked:,}", f"{cost.reused:,}", f"{cost.calls:,}", known_cost(cost))
        for cost in by_role
    ]
    return table(("queries by role", "asked", "reused", "attempts", "cost"), rows)


def known_cost(cost: Cost) -> str:
    """What is known of a cost, and how many attempts have no price."""
    known = dollars(cost.cost_nano_usd)
    return f"{known} + {cost.unpriced} attempts without a price" if cost.unpriced else known


def account_lines(costs: Sequence[Cost], columns: Sequence[str]) -> list[str]:
    """The account by any columns."""
    if not costs:
        return ["Nothing was asked."]
    counts = ("asked", "reused", "calls", "ok", "failed", "unresolved")
    header = (", ".join(columns) or "everything", "asked", "reused", "attempts", *counts[3:], "tokens", "cost")
    rows = [
        (
            ", ".join(cost.group[column] or "-" for column in columns) or "-",
            *(f"{getattr(cost, name):,}" for name in counts),
            f"{cost.prompt_tokens + cost.completion_tokens:,}",
            known_cost(cost),
        )
        for cost in costs
    ]
    return table(header, rows)


def pair_lines(costs: Sequence[PairCost], columns: Sequence[str]) -> list[str]:
    """What the kept pairs of the generations cost, by any columns of theirs."""
    return table((f"pairs by {', '.join(columns)}", *PAIR_HEADER), pair_rows(costs)) if costs else []


def baseline_line(asked: int) -> str:
    """All queries against those of the method that this one is compared with."""
    share = percent(asked, EVOL_INSTRUCT_QUERIES, digits=2)
    return f"{asked:,} queries asked in all: {share} of the {EVOL_INSTRUCT_QUERIES:,} of Evol-Instruct (WizardLM)"


def budget_lines(spent: Spent, budget: Budget, wanted: Estimate | None = None) -> list[str]:
    """What is left of each bound of the project, and whether the estimate of a run fits into it."""
    if not budget.bounded:
        return [NO_BUDGET]
    amounts = (
        ("queries", "{:,}".format, spent.queries, budget.queries, wanted and wanted.sent),
        ("tokens", short_count, spent.tokens, budget.tokens, wanted and wanted.tokens),
        ("", about_dollars, spent.nano_usd, budget.nano_usd, wanted and wanted.nano_usd),
    )
    lines: list[str] = []
    for unit, show, used, most, needed in amounts:
        if most is None:
            continue
        left, name = max(0, most - used), f" {unit}" if unit else ""
        line = f"budget: {show(used)} of {show(most)}{name} may have been billed, {show(left)} left"
        if needed and needed.likely > left:
            line += f"; not enough for the {show(needed.likely)} that are likely: the run would stop and wait for more"
        lines.append(line)
    return lines


def run_budget_lines(run: Budget, roles: Mapping[str, Budget]) -> list[str]:
    """What the run itself may spend, and each role in it, where that is bounded."""
    lines: list[str] = []
    for who, budget in (("this run", run), *((f"{role} in this run", bound) for role, bound in roles.items())):
        amounts = (
            (f"{budget.queries:,} queries" if budget.queries is not None else ""),
            (f"{short_count(budget.tokens)} tokens" if budget.tokens is not None else ""),
            (about_dollars(budget.nano_usd) if budget.nano_usd is not None else ""),
        )
        if budget.bounded:
            lines.append(f"budget of {who}: {', '.join(filter(None, amounts))}")
    return lines


def estimate_lines(estimates: Sequence[tuple[str, Estimate, bool]], total: Estimate) -> list[str]:
    """What each paid asset (its key, its estimate, whether its output is there already) would ask, and all together."""
    rows = [(key, *_figures(found), "reused" if reused else "") for key, found, reused in estimates]
    lines = table(("asset", "queries", "tokens", "dollars", ""), [*rows, ("all", *_figures(total), "")])
    notes = [f"no price is known for {model}: TEAMS_PRICES names a file that states it" for model in total.unpriced]
    if total.tokens.most:
        source = total.source or "guessed from the prompts' sizes"
        notes.append(
            f"likely (least to most); tokens are {source}; what is answered on the ledger already costs nothing"
        )
    return [*lines, "", *notes] if notes else lines


def _figures(found: Estimate) -> tuple[str, str, str]:
    cost = "unknown" if found.nano_usd is None else spread(found.nano_usd, about_dollars)
    return spread(found.queries, "{:,}".format), spread(found.tokens, short_count), cost


def policy_lines(scores: Sequence[PolicyScore]) -> list[str]:
    """Every policy with intervals, then how far the trained one gets, and when its training has paid for itself."""
    metrics = (HEADLINE, "accepted_per_episode", ALLOWANCE_USED)
    found = policies_table(scores, metrics)
    header = [text for metric in found.columns for text in (words(metric), "95% interval")]
    rows = [
        [row.name, *(text for cell in row.cells for text in ((cell.mean, cell.interval) if cell else ("-", "-")))]
        for row in found.rows
    ]
    lines = table(["policy, held-out seeds", *header], rows)
    if shares := gap_shares(scores, metrics):
        told = ", ".join(f"{metric} {share}" for metric, share in shares)
        lines.append(f"of the way from uniform to the free look-ahead, trained goes: {told}")
    if pays := break_even_lines(scores):
        lines.append(f"training has paid for itself, {'; '.join(pays)}")
    return lines


def score_lines(scores: Iterable[EvaluationScore]) -> list[str]:
    """Every score of the models, with its standard error."""
    rows = [
        (f"{s.model} {s.metric}", f"{s.value:.4f}", "" if s.stderr is None else f"± {s.stderr:.4f}", str(s.n))
        for s in scores
    ]
    return table(("score", "value", "stderr", "seeds"), rows)


def win_rate_lines(rates: Iterable[WinRate]) -> list[str]:
    """How often the judge prefers each adapter, as judged and at equal length, with 95% intervals."""
    rows = [
        (
            f"{rate.model} against {rate.against}",
            *(number(rate.win_rate), interval(rate.ci_low, rate.ci_high)),
            *at_equal_length(rate),
            str(rate.pairs),
        )
        for rate in rates
    ]
    return table(("judged", "win rate", "95% interval", "at equal length", "95% interval", "pairs"), rows)
