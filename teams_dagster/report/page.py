"""The report as one HTML page that holds everything it needs and runs no script."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from teams_dagster.core.html import text_only_templates
from teams_dagster.core.text import NOT_A_NUMBER, interval, money, number, percent, shorten, visible, words
from teams_dagster.evaluation.paper import EVOL_INSTRUCT_QUERIES, PAPER_PAIRS, PAPER_QUERIES, paper_columns, paper_rows
from teams_dagster.evaluation.privacy import MembershipScore
from teams_dagster.evaluation.scores import Score
from teams_dagster.evaluation.win_rate import WinRate
from teams_dagster.ledger.costs import Cost
from teams_dagster.policy.comparison.distinctness import METRICS
from teams_dagster.policy.comparison.scores import HEADLINE
from teams_dagster.report.caveats import cautions, limits
from teams_dagster.report.content import DatasetResults, OperationAtStep, Report
from teams_dagster.report.page_pictures import drawn
from teams_dagster.report.paper import compare_queries, paper_interval, paper_number
from teams_dagster.report.policy_scores import policy_section

LONGEST_TEXT = 3_000
"""Characters of a sample's text that are shown."""
LONGEST_LABEL = 400
"""Characters of any other text that are shown."""
MOST_CHAINS = 8
EXPLORER = "explorer.html"
"""The page of all samples, which lies beside this one."""
MOST_ROWS = 40
"""Rows of a table that are shown."""


def render_report(report: Report) -> str:
    """The page. Texts of seeds, models and samples are data: shown as text, whatever they hold, and cut when long."""
    return _template().render(
        report=report,
        figures=_headline(report),
        limits=limits(report),
        cautions=cautions(report),
        pictures=drawn(report),
        policy=policy_section(report.policy),
        operations=_operation_totals(report.dataset.operations),
        accounts=_accounts(report),
        generations=_generations(report.dataset),
        comparison=compare_queries(report.dataset.kept, report.account.questions),
        evol_instruct_queries=EVOL_INSTRUCT_QUERIES,
        paper_pairs=PAPER_PAIRS,
        paper_queries=PAPER_QUERIES,
        paper_columns=paper_columns(report.paper),
        paper_rows=paper_rows(report.paper) if report.paper else (),
        diversity_metrics=METRICS,
        explorer=EXPLORER,
        most_chains=MOST_CHAINS,
        most_rows=MOST_ROWS,
    )


@cache
def _template() -> jinja2.Template:
    environment = text_only_templates("teams_dagster.report", "", LONGEST_LABEL)
    environment.filters |= {  # pyright: ignore[reportUnknownMemberType] (Jinja's own)
        "error": _error,
        "fragment": _fragment,
        "interval": _interval,
        "number": number,
        "paper_interval": paper_interval,
        "paper_number": paper_number,
        "percent": percent,
        "shorten": shorten,
        "text": _text,
        "words": words,
    }
    environment.globals["money"] = money  # pyright: ignore[reportUnknownMemberType] (Jinja's own)
    return environment.get_template("page.html.jinja")


def _fragment(value: str) -> str:
    return quote(value, safe="", errors="replace")


def _interval(estimate: WinRate | MembershipScore) -> str:
    return interval(estimate.ci_low, estimate.ci_high)


def _text(value: str) -> Markup:
    return escape(visible(shorten(value, LONGEST_TEXT)))


def _error(score: Score) -> str:
    return "–" if score.stderr is None else f"± {number(score.stderr)}"


def _headline(report: Report) -> list[tuple[str, str, str]]:
    """The figures at the top: value, name, remark."""
    account, dataset, policy = report.account, report.dataset, report.policy
    per_generation = f"from {report.about.seeds:,} seeds, {len(report.about.generations):,} generation(s)"
    asked = f"{account.total.reused:,} answered from the ledger"
    figures = [
        (f"{dataset.kept:,}", "samples kept", per_generation),
        (f"{account.total.asked:,}", "queries asked", asked),
        (f"{account.calls_to_endpoints:,}", "paid attempts", "answered by an endpoint; others ran in this process"),
        (money(account.total.cost_nano_usd, account.total.unpriced), "cost", "by the price table; never guessed"),
    ]
    for name in ("trained", "uniform"):
        score = policy.score(name, HEADLINE)
        if score:
            figures.append(
                (f"{score.mean:.3f}", f"{words(HEADLINE)}, {name}", f"95%: {interval(score.ci_low, score.ci_high)}")
            )
    return figures


def _operation_totals(choices: tuple[OperationAtStep, ...]) -> list[tuple[str, int, int]]:
    """Operation, times chosen, times accepted; over all steps, the most chosen first."""
    totals: dict[str, tuple[int, int]] = {}
    for choice in choices:
        chosen, accepted = totals.get(choice.operation, (0, 0))
        totals[choice.operation] = chosen + choice.chosen, accepted + choice.accepted
    return sorted(((name, *counts) for name, counts in totals.items()), key=lambda row: (-row[1], row[0]))


def _generations(dataset: DatasetResults) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each generation, the latest first, with its figures and a remark on each."""
    means = {(measure.policy, measure.metric): measure.mean for measure in dataset.diversity_by_generation}
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    for found in reversed(dataset.generations):
        figures = [
            (number(found.questions), ""),
            _paid(found.cost_nano_usd, found.unpriced),
            (number(found.kept), ""),
            (number(found.questions_per_sample, 2), ""),
            _paid(found.nano_usd_per_sample, found.unpriced),
            (number(found.median, 0), ""),
            *((number(means.get((found.partition_key, metric))), "") for metric in METRICS),
        ]
        rows.append((found.partition_key, figures))
    return rows


def _paid(nano_usd: float | None, unpriced: int) -> tuple[str, str]:
    """What is known of a cost, and that it is not all."""
    if nano_usd is None:
        return NOT_A_NUMBER, ""
    known = round(nano_usd)
    return (money(known), "at least") if known and unpriced else (money(known, unpriced), "")


def _accounts(report: Report) -> list[tuple[str, tuple[str, ...], tuple[Cost, ...]]]:
    """The account's tables: title, the columns it is grouped by, rows."""
    account = report.account
    tables = (
        ("By role", account.by_role),
        ("By operation", account.by_operation),
        ("By role and operation", account.by_role_and_operation),
        ("By model", account.by_model),
        ("By asset", account.by_asset),
    )
    return [(title, tuple(rows[0].group), rows) for title, rows in tables if rows]
