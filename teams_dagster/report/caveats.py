"""What a reader must know before believing the report's figures."""

from __future__ import annotations

import math
from collections.abc import Iterator

from teams_dagster.core.text import interval, signed, words
from teams_dagster.evaluation.scores import CHOICE, HELD_OUT
from teams_dagster.policy.baselines import ROUND_ROBIN, UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED, UNREADING
from teams_dagster.policy.comparison.scores import ALLOWANCE_USED, HEADLINE, left_unused
from teams_dagster.report.content import PolicyResults, Report, RoleModel
from teams_dagster.report.policies import FIXED
from teams_dagster.report.policy_scores import PAY_OFF
from teams_dagster.report.policy_sentences import difference_metric, few_trainings

FEW_SEEDS = 30
"""Below this many seeds a standard error is itself a guess."""


def limits(report: Report) -> tuple[str, ...]:
    """What the embedded default can and cannot tell; nothing where every role and the student are configured."""
    rules = sorted(model.role for model in report.about.models if model.offline)
    found: list[str] = []
    if rules:
        found.append(
            f"Rules in this process, not language models, played {_listed(rules)}. They do edit, compare and answer"
            " texts, so the figures are real, but what they wrote teaches a model nothing worth knowing."
        )
    if report.about.student_embedded:
        found.append(
            "The student is the embedded one: under a million parameters, pre-trained in about a minute. Its scores"
            " move when it is trained."
        )
    if found:
        found.append(
            "Read the scores below as proof that the line works, from seeds to scores with every query accounted"
            " for. They do not say that the data is good. For that, configure the roles and a student."
        )
    return tuple(found)


def cautions(report: Report) -> tuple[str, ...]:
    """Every reason to doubt a figure, in the order of the page."""
    return (*_of_preflight(report), *_of_policy(report), *_of_models(report), *_of_costs(report))


def _of_preflight(report: Report) -> Iterator[str]:
    yield from (f"Preflight: {sentence}." for sentence in report.about.preflight)


def _of_policy(report: Report) -> Iterator[str]:
    policy = report.policy
    if policy.flat_reward:
        yield (
            "The reward is flat: nearly every edit earns the same, so no policy can show a gain. Look at the reviewer"
            " before training again."
        )
    gain = policy.score(TRAINED, difference_metric(HEADLINE, UNIFORM))
    if gain and gain.ci_low <= 0 <= gain.ci_high:
        yield (
            f"Too small to tell: the trained policy's gain over uniform in {words(HEADLINE)} is {gain.mean:.3f}, with"
            f" a 95% interval from {interval(gain.ci_low, gain.ci_high)} that contains zero."
        )
    if gain and gain.ci_high < 0:
        yield f"The trained policy is worse than uniform in {words(HEADLINE)}: do not generate with it."
    if unused := left_unused(policy.score(TRAINED, ALLOWANCE_USED)):
        yield f"The trained policy leaves its allowance unused: {unused}."
    yield from _of_rivals(policy)
    yield from _of_pay_off(policy)
    if few := few_trainings(policy.scores):
        yield few
    if (steered := report.about.steered_by) and policy.curve:
        yield (
            f"The latest generation was steered by {words(steered)}, which needs no training: the figures of the"
            " trained policy do not say how its samples came about."
        )
    yield from _of_one_model(report.about.models)
    yield from _of_other_models(policy.trained_with, report.about.models)


def _of_rivals(policy: PolicyResults) -> Iterator[str]:
    """Policies that know less than the trained one, where it is not above them."""
    fixed = [score for name in FIXED if (score := policy.score(name, HEADLINE))]
    rivals = {
        **dict.fromkeys(
            UNREADING, "was trained alike without reading: nothing shows that what was learnt comes from the text"
        ),
        ROUND_ROBIN: "takes the operations in turn, which needs no training",
    }
    if fixed:
        best = max(fixed, key=lambda score: score.mean).policy
        rivals[best] = "always chooses this one operation, which needs no training"
    for name, meaning in rivals.items():
        gain = policy.score(TRAINED, difference_metric(HEADLINE, name))
        if gain and gain.ci_low <= 0:
            verb = "is below" if gain.ci_high < 0 else "cannot be told from"
            yield (
                f"The trained policy {verb} {words(name)} in {words(HEADLINE)} (difference {signed(gain.mean)}, 95%:"
                f" {signed(gain.ci_low)} to {signed(gain.ci_high)}). The latter {meaning}."
            )


def _of_pay_off(policy: PolicyResults) -> Iterator[str]:
    """Where training costs more than it saves."""
    for metric, unit in PAY_OFF.items():
        samples = policy.score(TRAINED, metric)
        if samples and math.isinf(samples.mean):
            yield (
                f"Training never pays for itself in {unit}: an accepted edit of the trained policy is not cheaper than"
                " one of uniform."
            )
        elif samples and math.isinf(samples.ci_high):
            yield f"Training may never pay for itself in {unit}: the 95% interval does not rule it out."


def _of_one_model(used: tuple[RoleModel, ...]) -> Iterator[str]:
    """Where a model judges what it wrote itself."""
    by_role = {model.role: model for model in used}
    judges, expert = ("reviewer", "judge"), by_role.get("expert")
    same = [role for role in judges if expert and not expert.offline and _same(by_role.get(role), expert)]
    if expert and same:
        yield f"One model, {_named(expert)}, is the expert and the {' and the '.join(same)}: it judges what it wrote."


def _same(model: RoleModel | None, other: RoleModel) -> bool:
    return model is not None and _named(model) == _named(other)


def _of_other_models(trained: tuple[RoleModel, ...], used: tuple[RoleModel, ...]) -> Iterator[str]:
    """Where the policy's training met another kind of model, or another reviewer, than the generation does."""
    by_role = {model.role: model for model in used}
    for then, now in ((model, by_role.get({"instructor": "expert"}.get(model.role, model.role))) for model in trained):
        if now is None:
            continue
        if then.offline != now.offline:
            yield (
                f"The policy was trained with another kind of model than it generates with: {then.role}"
                f" {_named(then)} then, {now.role} {_named(now)} now. What pays with one need not pay with the other."
            )
        elif then.role == now.role and _named(then) != _named(now):
            yield f"The policy was trained with {then.role} {_named(then)}; the generation asks {_named(now)}."


def _of_models(report: Report) -> Iterator[str]:
    scores = report.models.scores
    seeds = min((score.n for score in scores if score.task in (HELD_OUT, CHOICE)), default=FEW_SEEDS)
    if seeds < FEW_SEEDS:
        yield f"Too small to tell: scores rest on as few as {seeds} held-out seeds; their standard errors are rough."
    for score in scores:
        if score.metric.endswith("_vs_base") and score.stderr is not None and abs(score.value) < 2 * score.stderr:
            metric = words(score.metric.removesuffix("_vs_base"))
            yield f"{score.model} cannot be told from base in {metric}: the difference is within two standard errors."
    for rate in report.models.win_rates:
        if rate.lc_low is None or rate.lc_high is None:
            yield (
                f"The judge's win rate of {rate.model} at equal length is not identifiable: one side's answers are"
                " always the longer, so a preference for length cannot be told from one for the answers."
            )
        elif rate.lc_low <= 0.5 <= rate.lc_high:
            yield (
                f"The judge cannot tell {rate.model} from {rate.against} at equal length: the win rate's 95% interval,"
                f" {interval(rate.lc_low, rate.lc_high)}, contains one half."
            )
    if unsure := list(dict.fromkeys(result.model for result in report.models.privacy if result.too_small_to_tell)):
        yield (
            f"Too small to tell: the 95% interval of the privacy attack's area is wider than 0.05 either way for"
            f" {_listed(unsure)}."
        )


def _of_costs(report: Report) -> Iterator[str]:
    total = report.account.total
    if total.unpriced:
        yield (
            f"{total.unpriced:,} paid attempts went to models without a known price: the cost is not known. Add"
            " them to the price file."
        )
    if total.unresolved:
        yield (
            f"{total.unresolved:,} attempts have no result on the ledger: in flight, or lost with their process. They"
            " may have been paid."
        )


def _named(model: RoleModel) -> str:
    return f"{model.provider}/{model.model}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
