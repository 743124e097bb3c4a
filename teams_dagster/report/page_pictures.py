"""The pictures of the page with the words that go with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from teams_dagster.core.markdown import data_uri
from teams_dagster.policy.comparison.scores import HEADLINE
from teams_dagster.report import pictures
from teams_dagster.report.content import Account, DatasetResults, ModelResults, PolicyResults, Report
from teams_dagster.report.policy_scores import differences_table


@dataclass(frozen=True)
class Picture:
    """A picture with its words."""

    source: Markup
    """A data URI: base64 needs no escaping."""
    alt: str
    caption: str


_Planned = tuple[str, object, Callable[[], bytes], str, str]
"""Name, the data that it needs, how to draw it, what it shows, what to see in it."""


def drawn(report: Report) -> Mapping[str, Picture]:
    """The pictures whose data exist, by name."""
    planned = (
        *_of_policy(report.policy),
        *_of_dataset(report.dataset),
        *_of_models(report.models),
        *_of_costs(report.account),
    )
    return {name: Picture(Markup(data_uri(draw())), alt, caption) for name, data, draw, alt, caption in planned if data}


def _of_policy(policy: PolicyResults) -> Iterator[_Planned]:
    yield (
        "learning_curve",
        policy.curve,
        lambda: pictures.learning_curve(policy.curve),
        "Six line charts by iteration: return, accepted per query, entropy of the policy, KL of the update, variance"
        " explained by the critic, and queries to the guide or edits accepted per episode.",
        "The policy while it trains. Each point is the batch that the policy of that iteration met; a coloured"
        " ground is another phase of the algorithm.",
    )
    yield (
        "operation_mix",
        policy.curve,
        lambda: pictures.operation_mix(policy.curve),
        "Stacked areas: the share of each operation among the policy's choices, by iteration.",
        "What the policy chooses while it trains.",
    )
    yield (
        "policies_compared",
        policy.scores,
        lambda: pictures.policies_compared(policy.scores, HEADLINE),
        "Dots with error bars: distinct accepted per query of each policy in groups, with uniform and the ceiling"
        " marked.",
        "Policies on seeds that none was trained on. The hollow dot and its line are uniform, which is what"
        " Evol-Instruct does; the green line is the ceiling, a look-ahead whose queries are free.",
    )
    yield (
        "differences",
        differences_table(policy.scores).rows,
        lambda: pictures.differences(policy.scores),
        "Dots with error bars around a line at zero: trained minus each other policy, in distinct accepted per query"
        " and in accepted per episode.",
        "By how much the trained policy exceeds each other one: blue is above zero, red below, grey cannot be told"
        " from it.",
    )


def _of_dataset(dataset: DatasetResults) -> Iterator[_Planned]:
    yield (
        "yield_funnel",
        dataset.funnel,
        lambda: pictures.yield_funnel(dataset.funnel),
        "Bars: edits asked for, reviewed, accepted, answered and kept, with the reasons of the losses.",
        "What became of the edits that were asked for. The light part of a bar is lost before the next stage.",
    )
    yield (
        "operation_mix_by_step",
        dataset.operations,
        lambda: pictures.operation_mix_by_step(dataset.operations),
        "Stacked bars: the share of each operation among the choices at each step.",
        "What the policy chose at each step of the generations' episodes.",
    )
    yield (
        "lengths_by_step",
        dataset.lengths,
        lambda: pictures.lengths_by_step(dataset.lengths),
        "A line with a band: median words of the texts by step, and the middle 80%.",
        "How long accepted texts are, instruction and input together.",
    )
    yield (
        "diversity_by_step",
        dataset.diversity_by_step,
        lambda: pictures.diversity(dataset.diversity_by_step, x="step (0: the seeds)"),
        "Four line charts by step: shares of different words and pairs of words, nearest similarity, Vendi score.",
        "How distinct the texts of a step are from each other, at an equal number of texts and words; 95% bands.",
    )
    yield from _over_generations(dataset)


def _over_generations(dataset: DatasetResults) -> Iterator[_Planned]:
    """Only where there are two: a single one is a row of the table."""
    several = len(dataset.generations) > 1
    yield (
        "generations",
        several and dataset.generations,
        lambda: pictures.generations(dataset.generations),
        "Four line charts by generation: samples kept, their words, queries and dollars for a kept sample.",
        "What each generation gave, and what a kept sample took.",
    )
    yield (
        "diversity_by_generation",
        several and dataset.diversity_by_generation,
        lambda: pictures.diversity(dataset.diversity_by_generation, x="generation"),
        "Four line charts by generation: shares of different words and pairs of words, nearest similarity, Vendi"
        " score.",
        "How distinct the samples of a generation are from each other, at an equal number of texts and words; 95%"
        " bands.",
    )


def _of_costs(account: Account) -> Iterator[_Planned]:
    yield (
        "costs",
        account.by_role,
        lambda: pictures.costs(account.by_role),
        "Bars: queries asked and cost in dollars, by role.",
        "Queries and cost by role.",
    )
    yield (
        "costs_by_role_and_operation",
        account.by_role_and_operation,
        lambda: pictures.costs_by_role_and_operation(account.by_role_and_operation),
        "Stacked bars: queries asked and cost in dollars by operation, each made of the roles that were asked.",
        "Queries and cost by operation, and by the role that was asked. Reviews and answers belong to no operation.",
    )


def _of_models(models: ModelResults) -> Iterator[_Planned]:
    curves = {adapter.kind: adapter.curve for adapter in models.adapters if adapter.curve}
    yield (
        "training_curves",
        curves,
        lambda: pictures.training_curves(curves),
        "Lines: training and validation loss of each adapter by update.",
        "The adapters while they train. Held-out seeds are never seen here.",
    )
    yield (
        "evaluation_scores",
        models.scores,
        lambda: pictures.evaluation_scores(models.scores),
        "Dots with error bars: choice accuracy and held-out loss of each model.",
        "Scores on held-out seeds; bars are one standard error either way, clustered by seed.",
    )
    yield (
        "win_rates",
        models.win_rates,
        lambda: pictures.win_rates(models.win_rates),
        "Dots with error bars around a line at one half: each adapter's win rate as judged, and at equal length.",
        "How often the judge prefers an adapter's answers to the base's on held-out seeds; 95% intervals that resample"
        " seeds. The hollow dot is what remains where both answers are equally long.",
    )
    yield (
        "privacy_roc",
        models.privacy,
        lambda: pictures.privacy_roc(models.privacy),
        "ROC curves of each membership attack on each model, with the diagonal.",
        "Membership inference: the nearer to the diagonal, the less is given away.",
    )
