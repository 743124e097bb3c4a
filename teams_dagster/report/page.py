"""The report as one HTML page that holds everything it needs and runs no script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import jinja2
from markupsafe import Markup, escape

from teams_dagster.evaluation.scores import Score
from teams_dagster.report import pictures
from teams_dagster.report.baseline import EVOL_INSTRUCT_QUERIES, PAPER_PAIRS, PAPER_QUERIES, compare_queries
from teams_dagster.report.cautions import cautions, limits
from teams_dagster.report.content import OperationAtStep, Report
from teams_dagster.report.markdown import data_uri
from teams_dagster.report.text import interval, money, number, percent, shorten, visible, words

LONGEST_TEXT = 3_000
"""Characters of a sample's text that are shown."""
LONGEST_LABEL = 400
"""Characters of any other text that are shown."""
MOST_CHAINS = 8
MOST_ROWS = 40
"""Rows of a table that are shown."""


@dataclass(frozen=True)
class Picture:
    """A picture with its words."""

    source: Markup
    """A data URI: base64 needs no escaping."""
    alt: str
    caption: str


def render_report(report: Report) -> str:
    """The page. Texts of seeds, models and samples are data: shown as text, whatever they hold, and cut when long."""
    return _template().render(
        report=report,
        figures=_headline(report),
        limits=limits(report),
        cautions=cautions(report),
        pictures=_pictures(report),
        operations=_operation_totals(report.dataset.operations),
        accounts=_accounts(report),
        comparison=compare_queries(report.dataset.kept, report.account.questions),
        evol_instruct_queries=EVOL_INSTRUCT_QUERIES,
        paper_pairs=PAPER_PAIRS,
        paper_queries=PAPER_QUERIES,
        most_chains=MOST_CHAINS,
        most_rows=MOST_ROWS,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("teams_dagster.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "error": _error,
        "interval": lambda score: interval(score.ci_low, score.ci_high),
        "number": number,
        "percent": percent,
        "shorten": shorten,
        "text": lambda value: escape(visible(shorten(value, LONGEST_TEXT))),
        "words": words,
    }
    environment.globals["money"] = money
    return environment.get_template("page.html.jinja")


def _inert(value: object) -> object:
    """What the template prints, cut where it is long; characters that would reorder or hide text are named instead."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(shorten(value, LONGEST_LABEL))


def _error(score: Score) -> str:
    return "–" if score.stderr is None else f"± {number(score.stderr)}"


def _headline(report: Report) -> list[tuple[str, str, str]]:
    """The figures at the top: value, name, remark."""
    account, dataset, policy = report.account, report.dataset, report.policy
    per_generation = f"from {report.about.seeds:,} seeds, {len(report.about.generations):,} generation(s)"
    asked = f"{account.total.reused:,} answered from the ledger"
    figures = [
        (f"{dataset.kept:,}", "samples kept", per_generation),
        (f"{account.total.asked:,}", "questions asked", asked),
        (f"{account.calls_to_endpoints:,}", "paid calls", "answered by an endpoint; others ran in this process"),
        (money(account.total.cost_nano_usd, account.total.unpriced), "cost", "by the price table; never guessed"),
    ]
    for name in ("trained", "uniform"):
        score = policy.score(name, "accepted_per_query")
        if score:
            figures.append(
                (f"{score.mean:.3f}", f"accepted per query, {name}", f"95%: {interval(score.ci_low, score.ci_high)}")
            )
    return figures


def _pictures(report: Report) -> Mapping[str, Picture]:
    """The pictures whose data exist, by name."""
    policy, dataset, models, account = report.policy, report.dataset, report.models, report.account
    curves = {adapter.kind: adapter.curve for adapter in models.adapters if adapter.curve}
    drawn: list[tuple[str, object, Callable[[], bytes], str, str]] = [
        (
            "learning_curve",
            policy.curve,
            lambda: pictures.learning_curve(policy.curve),
            "Four line charts by iteration: return, accepted per query, entropy of the policy, KL of the update.",
            "The policy while it trains. Each point is the batch that the policy of that iteration met.",
        ),
        (
            "operation_mix",
            policy.curve,
            lambda: pictures.operation_mix(policy.curve),
            "Stacked areas: the share of each operation among the policy's choices, by iteration.",
            "What the policy chooses while it trains.",
        ),
        (
            "policies_compared",
            policy.scores,
            lambda: pictures.policies_compared(policy.scores, "accepted_per_query"),
            "Dots with error bars: accepted per query of each policy, with uniform marked.",
            "Policies on seeds that none was trained on. The hollow dot and the dashed line are uniform, which is what"
            " Evol-Instruct does.",
        ),
        (
            "yield_funnel",
            dataset.funnel,
            lambda: pictures.yield_funnel(dataset.funnel),
            "Bars: edits asked for, reviewed, accepted, answered and kept, with the reasons of the losses.",
            "What became of the edits that were asked for. The light part of a bar is lost before the next stage.",
        ),
        (
            "operation_mix_by_step",
            dataset.operations,
            lambda: pictures.operation_mix_by_step(dataset.operations),
            "Stacked bars: the share of each operation among the choices at each step.",
            "What the policy chose at each step of the generations' episodes.",
        ),
        (
            "lengths_by_step",
            dataset.lengths,
            lambda: pictures.lengths_by_step(dataset.lengths),
            "A line with a band: median words of the texts by step, and the middle 80%.",
            "How long accepted texts are, instruction and input together.",
        ),
        (
            "training_curves",
            curves,
            lambda: pictures.training_curves(curves),
            "Lines: training and validation loss of each adapter by update.",
            "The adapters while they train. Held-out seeds are never seen here.",
        ),
        (
            "evaluation_scores",
            models.scores,
            lambda: pictures.evaluation_scores(models.scores),
            "Dots with error bars: choice accuracy and held-out loss of each model.",
            "Scores on held-out seeds; bars are one standard error either way, clustered by seed.",
        ),
        (
            "privacy_roc",
            models.privacy,
            lambda: pictures.privacy_roc(models.privacy),
            "ROC curves of the membership attack on each model, with the diagonal.",
            "Membership inference by loss: the nearer to the diagonal, the less is given away.",
        ),
        (
            "costs",
            account.by_role,
            lambda: pictures.costs(account.by_role),
            "Bars: questions asked and cost in dollars, by role.",
            "Questions and cost by role.",
        ),
    ]
    return {name: Picture(Markup(data_uri(draw())), alt, caption) for name, data, draw, alt, caption in drawn if data}


def _operation_totals(choices: tuple[OperationAtStep, ...]) -> list[tuple[str, int, int]]:
    """Operation, times chosen, times accepted; over all steps, the most chosen first."""
    totals: dict[str, tuple[int, int]] = {}
    for choice in choices:
        chosen, accepted = totals.get(choice.operation, (0, 0))
        totals[choice.operation] = chosen + choice.chosen, accepted + choice.accepted
    return sorted(((name, *counts) for name, counts in totals.items()), key=lambda row: (-row[1], row[0]))


def _accounts(report: Report) -> list[tuple[str, tuple[str, ...], tuple]]:
    """The account's tables: title, the columns it is grouped by, rows."""
    account = report.account
    tables = (
        ("By role", account.by_role),
        ("By operation", account.by_operation),
        ("By model", account.by_model),
        ("By asset", account.by_asset),
    )
    return [(title, tuple(rows[0].group), rows) for title, rows in tables if rows]
