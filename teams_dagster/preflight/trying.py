"""Tries one role: asks what is planned for it, and writes down what comes back."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Completion, ErrorKind, LLMClient, Outcome, Request, Role
from teams_dagster.dataset.quality.rating import Rating, parse_rating
from teams_dagster.evaluation.judging import Preference, parse_preference
from teams_dagster.instructions.elimination import eliminate_outcome, eliminate_rewrite
from teams_dagster.instructions.requests import (
    MalformedReply,
    parse_operation,
    parse_rewrite,
    review_query,
)
from teams_dagster.instructions.review import Verdict, parse_verdict
from teams_dagster.llm.circuit import EndpointBroken
from teams_dagster.llm.rows import TRIED
from teams_dagster.llm.unusable import NothingUsable
from teams_dagster.preflight.accuracy import UNCLEAR, Said, accuracy_of, wilson
from teams_dagster.preflight.asking import Reply, WidthRate, ask_one, ask_rising, recommended_width
from teams_dagster.preflight.findings import (
    accuracy_faults,
    answering_faults,
    rating_faults,
    ratings_unmeasured,
    readable_faults,
    rewrite_faults,
    seed_faults,
)
from teams_dagster.preflight.plan import FULL, REWRITERS, SAMPLED, Planned, ratings_key, record_key
from teams_dagster.preflight.record import OperationCount, RatingsRecord, RoleRecord, SeedUse


@dataclass
class _Found:
    """What is found out about a role, as it comes in."""

    replies: list[Reply] = field(default_factory=list[Reply])
    rates: list[WidthRate] = field(default_factory=list[WidthRate])
    failures: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    unusable: int = 0
    """Replies after which the engine gave up, because none of them could be used."""

    def add(self, faults: tuple[list[str], list[str]]) -> None:
        """Failures and warnings."""
        self.failures += faults[0]
        self.warnings += faults[1]


async def try_role(client: LLMClient, plan: Planned, *, most: int, priced: bool) -> RoleRecord:
    """What comes of asking a role what is planned. An endpoint that answers nobody is a role that failed.

    Args:
        most: Queries that may be under way at once.
        priced: Whether a price of the model is known.
    """
    identity, found = client.identity(plan.role), _Found()
    record = RoleRecord(
        role=plan.role,
        model=f"{identity.provider}/{identity.model}",
        key=record_key(plan.role, identity),
        quick=plan.size != FULL,
        queries=0,
        failures=(),
        warnings=(),
        reached=False,
        priced=priced,
    )
    try:
        record = await _tried(client, plan, record, found, most)
    except EndpointBroken as broken:
        found.failures.append(f"the {plan.role.value} {record.model} cannot be asked: {broken}")
    except NothingUsable as ended:
        found.failures.append(f"the {plan.role.value} {record.model} is of no use: {ended}")
        found.unusable = 0 if ended.cause in set(ErrorKind) else TRIED
    found.add(seed_faults(plan.role, record.model, record.seed))
    said = [reply.completion for reply in found.replies if reply.completion is not None]
    return record.model_copy(
        update={
            "queries": len(found.replies) + found.unusable,
            "failures": tuple(found.failures),
            "warnings": tuple(found.warnings),
            "reached": bool(said) or bool(found.unusable),
            "unanswered": len(found.replies) - len(said),
            "tokens": _tokens(said),
            "seconds": next((rate.seconds / rate.queries for rate in found.rates if rate.width == 1), None),
            "widths": tuple(found.rates),
            "log_probabilities": any(completion.probabilities for completion in said),
        }
    )


async def _tried(client: LLMClient, plan: Planned, record: RoleRecord, found: _Found, most: int) -> RoleRecord:
    """`record` with what its role's own probes tell."""
    if plan.role in REWRITERS:
        tried = await _try_rewriter(client, plan, record, found, most)
    elif plan.role is Role.GUIDE:
        replies = await _ask(client, plan.queries(), found, most)
        readable = wilson(sum(_chosen(reply.completion) is not None for reply in replies), len(replies))
        found.add(readable_faults(plan.role, record.model, readable))
        tried = record.model_copy(update={"readable": readable})
    else:
        tried = await _try_verdicts(client, plan, record, found, most)
    if plan.rating_pairs:
        tried = await _try_ratings(client, plan, tried, found, most)
    if plan.role in SAMPLED and found.replies[0].completion is not None:
        tried = tried.model_copy(update={"seed": await _try_seed(client, found.replies[0], found)})
    unanswered = [reply.failure for reply in found.replies if reply.completion is None]
    measured = tried.accuracy is not None or plan.role not in (Role.REVIEWER, Role.JUDGE)
    found.add(answering_faults(plan.role, record.model, unanswered, len(found.replies), measured=measured))
    return tried


async def _ask(client: LLMClient, requests: Sequence[Request], found: _Found, most: int) -> list[Reply]:
    replies, rates = await ask_rising(client, requests, most)
    found.replies += replies
    found.rates += rates
    return replies


async def _try_verdicts(client: LLMClient, plan: Planned, record: RoleRecord, found: _Found, most: int) -> RoleRecord:
    """A reviewer, or a judge: every labelled pair, the first ones in the other order too."""
    asked = plan.queries()
    replies = await _ask(client, asked, found, most)
    if len(replies) < len(asked):  # the first one failed for good, and says why
        return record
    said = _review_said(plan, replies) if plan.role is Role.REVIEWER else _judge_said(plan, replies)
    if {one.label for one in said} != {one.label for one in said if one.said is not None}:
        return record
    accuracy = accuracy_of(said)
    found.add(accuracy_faults(plan.role, record.model, accuracy, quick=record.quick))
    return record.model_copy(update={"accuracy": accuracy})


def _review_said(plan: Planned, replies: Sequence[Reply]) -> list[Said]:
    words = {Verdict.EQUAL: "equal", Verdict.NOT_EQUAL: "not_equal", Verdict.UNCLEAR: UNCLEAR}
    verdicts = [None if reply.completion is None else words[parse_verdict(reply.completion.text)] for reply in replies]
    turned = verdicts[len(plan.review_pairs) :]
    return [
        Said(pair.kind, pair.label.value, verdicts[at], turned[at] if at < len(turned) else None)
        for at, pair in enumerate(plan.review_pairs)
    ]


async def _try_ratings(client: LLMClient, plan: Planned, record: RoleRecord, found: _Found, most: int) -> RoleRecord:
    """A judge that is to drop pairs: whether it tells good ones from bad ones."""
    answers = any(reply.completion is not None for reply in found.replies)
    replies, _ = await ask_rising(client, plan.ratings(), most, answers=answers)
    found.replies += replies
    pairs = plan.rating_pairs[: len(replies)]
    said = [
        Said(pair.label.value, _kept(good=pair.good), _rated(reply.completion))
        for pair, reply in zip(pairs, replies, strict=True)
    ]
    if {one.label for one in said if one.said is not None} != {_kept(good=True), _kept(good=False)}:
        missing = [reply.failure for reply in replies if reply.completion is None]
        accuracy, failures, warnings = None, [ratings_unmeasured(record.model, missing, len(replies))], []
    else:
        accuracy = accuracy_of(said)
        failures, warnings = rating_faults(record.model, accuracy, quick=record.quick)
    ratings = RatingsRecord(key=ratings_key(), accuracy=accuracy, failures=tuple(failures), warnings=tuple(warnings))
    return record.model_copy(update={"ratings": ratings})


def _kept(*, good: bool) -> str:
    return "good" if good else "bad"


def _rated(completion: Completion | None) -> str | None:
    """What a threshold of 0.5 makes of a reply; unclear where the judge cannot tell."""
    if completion is None:
        return None
    rating = parse_rating(completion.text) if completion.outcome is Outcome.USABLE else Rating.UNCLEAR
    if rating in (Rating.UNCLEAR, Rating.CANNOT_TELL):
        return UNCLEAR
    return _kept(good=rating in (Rating.GOOD, Rating.PARTLY))


_MIRRORED = {Preference.FIRST: Preference.SECOND, Preference.SECOND: Preference.FIRST}


def _judge_said(plan: Planned, replies: Sequence[Reply]) -> list[Said]:
    said = [_preferred(reply.completion) for reply in replies]
    turned = said[len(plan.judge_pairs) :]
    found: list[Said] = []
    for at, pair in enumerate(plan.judge_pairs):
        first, other = said[at], turned[at] if at < len(turned) else None
        same_place = first is not None and first is other is Preference.FIRST
        mirrored = None if other is None else _MIRRORED.get(other, other).value
        found.append(Said(pair.kind, pair.label.value, first and first.value, mirrored, same_place))
    return found


def _preferred(completion: Completion | None) -> Preference | None:
    if completion is None:
        return None
    return parse_preference(completion.text) if completion.outcome is Outcome.USABLE else Preference.UNCLEAR


def _chosen(completion: Completion | None) -> Operation | None:
    if completion is None or completion.outcome not in (Outcome.USABLE, Outcome.TRUNCATED):
        return None
    return parse_operation(completion.text, tuple(Operation))


async def _try_rewriter(client: LLMClient, plan: Planned, record: RoleRecord, found: _Found, most: int) -> RoleRecord:
    """An instructor, or an expert: every operation on a few seeds, each rewrite reviewed; then an expert's answers."""
    replies = await _ask(client, plan.queries(), found, most)
    if replies[0].completion is None:
        return record
    reviews, counts = list[tuple[Operation, Request]](), Counter[tuple[Operation, str]]()
    for reply in replies:
        operation, became = _read_rewrite(reply)
        counts[operation, became if isinstance(became, str) else "read"] += 1
        if not isinstance(became, str):
            reviews.append((operation, became))
    reviewed = await _ask_reviewer(client, [review for _, review in reviews], most)
    for (operation, _), completion in zip(reviews, reviewed, strict=True):
        if completion is not None:
            counts[operation, "reviewed"] += 1
            counts[operation, "accepted"] += parse_verdict(completion.text) is Verdict.NOT_EQUAL
    operations = tuple(
        OperationCount(
            operation=operation.value,
            asked=sum(reply.request.intent.operation is operation for reply in replies),
            **{name: counts[operation, name] for name in ("malformed", "eliminated", "reviewed", "accepted")},
        )
        for operation in dict.fromkeys(_operation(reply) for reply in replies)
    )
    found.add(rewrite_faults(plan.role, record.model, operations))
    if answers := plan.answers():  # long ones: a slow machine would time out at a width that it does not serve well
        found.replies += (await ask_rising(client, answers, recommended_width(found.rates) or most))[0]
    return record.model_copy(update={"operations": operations})


def _operation(reply: Reply) -> Operation:
    operation = reply.request.intent.operation
    assert isinstance(operation, Operation), "a rewrite of a preflight has an operation"
    return operation


def _read_rewrite(reply: Reply) -> tuple[Operation, Request | str]:
    """The operation, with the review that its rewrite is due; or what became of it instead."""
    operation, before, completion = _operation(reply), reply.request.intent.before, reply.completion
    if completion is None:
        return operation, "unanswered"
    if completion.outcome is Outcome.MALFORMED:
        return operation, "malformed"
    if eliminate_outcome(completion.outcome) is not None:
        return operation, "eliminated"
    try:
        after = parse_rewrite(operation, before, completion.text)
    except MalformedReply:
        return operation, "malformed"
    return operation, "eliminated" if eliminate_rewrite(after, (before,)) else review_query(before, after)


async def _ask_reviewer(client: LLMClient, reviews: Sequence[Request], most: int) -> list[Completion | None]:
    """The reviewer's word on rewrites. One that cannot be asked at all fails for itself, not for who rewrote."""
    if not reviews:
        return []
    try:
        replies, _ = await ask_rising(client, reviews, most)
    except (EndpointBroken, NothingUsable):
        replies = []
    said = [reply.completion for reply in replies]
    return [*said, *[None] * (len(reviews) - len(said))]


async def _try_seed(client: LLMClient, first: Reply, found: _Found) -> SeedUse | None:
    """Whether the first query, asked again, gets the same text; and with another seed another one.

    Asked again it may take one token less: so it is no reuse, and the words of a text that ends by itself are the same.
    """
    request = first.request
    again = replace(request, sampling=replace(request.sampling, max_tokens=request.sampling.max_tokens - 1))
    same, other = [await ask_one(client, each) for each in (again, replace(request, replica=request.replica + 1))]
    found.replies += [same, other]
    if first.completion is None or same.completion is None or other.completion is None:
        return None
    if same.completion.text != first.completion.text:
        return SeedUse.NOT_HONOURED
    return SeedUse.WITHOUT_EFFECT if other.completion.text == first.completion.text else SeedUse.HONOURED


def _tokens(said: Sequence[Completion]) -> float | None:
    """The mean of what the provider reported."""
    usages = [completion.usage for completion in said]
    known = [
        usage.prompt_tokens + usage.completion_tokens
        for usage in usages
        if usage.prompt_tokens is not None and usage.completion_tokens is not None
    ]
    return statistics.fmean(known) if known else None
