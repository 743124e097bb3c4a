"""How much a preflight asks of each role, and of what; and what that will be, before its first query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, TypeVar

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import ModelIdentity, Purpose, Request, Role
from teams_dagster.dataset.quality.rating import rate_prompt, rate_query
from teams_dagster.evaluation.judging import judge_prompt, judge_query
from teams_dagster.instructions.prompts import prompt
from teams_dagster.instructions.requests import guide_query, respond_query, review_query, rewrite_query
from teams_dagster.preflight.labelled_pairs import (
    AnyPair,
    JudgePair,
    RatingPair,
    ReviewPair,
    Split,
    judge_pairs,
    pairs_version,
    rating_pairs,
    review_pairs,
)
from teams_dagster.pricing.forecast import QueryForecast

PLAN_VERSION = "1"
"""Raised when what is asked, or how it is judged, changes: what passed before is then tried again."""

CALIBRATED = "embedding"
"""The provider whose threshold is set on the pairs of split `calibrate`: only the others can test it."""

SEED_PROBES = 2
"""Queries beside the others by which a role's seed is tried: the same one again, and one with another seed."""


@dataclass(frozen=True)
class Size:
    """How much is asked of each role."""

    review_pairs: int
    """At most; half of them of each label."""
    judge_pairs: int
    turned: int
    """Reviewed pairs, and judged ones, that are asked again in the other order."""
    seeds: int
    """Texts that each operation rewrites."""
    answers: int
    """Texts that the expert answers."""
    guided: int
    """Choices that the guide makes."""
    rated: int
    """Pairs that the judge rates, where its ratings are tried: half of them good ones."""


FULL = Size(review_pairs=1_000, judge_pairs=1_000, turned=40, seeds=4, answers=20, guided=20, rated=1_000)
"""Every labelled pair; enough answers of each kind for an estimate to learn from."""

QUICK = Size(review_pairs=32, judge_pairs=18, turned=4, seeds=1, answers=2, guided=4, rated=32)


@dataclass(frozen=True)
class Planned:
    """What a preflight asks of one role."""

    role: Role
    size: Size
    texts: tuple[Instruction, ...]
    """Seeds, as many as are rewritten or answered."""
    review_pairs: tuple[ReviewPair, ...] = ()
    judge_pairs: tuple[JudgePair, ...] = ()
    rating_pairs: tuple[RatingPair, ...] = ()

    @property
    def turned(self) -> int:
        """How many of the pairs, the first ones, are asked in the other order too."""
        return min(self.size.turned, len(self.review_pairs) + len(self.judge_pairs))

    def rewrites(self) -> list[Request]:
        """Each operation on each of the first texts."""
        texts = self.texts[: self.size.seeds]
        return [rewrite_query(self.role, operation, text) for text in texts for operation in TEXT_OPERATIONS]

    def answers(self) -> list[Request]:
        """What the expert is to answer."""
        return [respond_query(text) for text in self.texts[: self.size.answers]] if self.role is Role.EXPERT else []

    def choices(self) -> list[Request]:
        """States of an episode, each a little further on than the last, for the guide to choose in."""
        return [
            guide_query(text, [(done, n % 2 == 0) for n, done in enumerate(_past(at))], 6 - at % 6, may_rest=True)
            for at, text in enumerate(self.texts[: self.size.guided])
        ]

    def reviews(self) -> list[Request]:
        """Every pair, then the first ones in the other order."""
        pairs = self.review_pairs
        turned = [review_query(pair.after, pair.before) for pair in pairs[: self.turned]]
        return [*(review_query(pair.before, pair.after) for pair in pairs), *turned]

    def judgements(self) -> list[Request]:
        """Every pair, then the first ones in the other order."""
        pairs = self.judge_pairs
        turned = [judge_query(pair.asked, pair.second, pair.first) for pair in pairs[: self.turned]]
        return [*(judge_query(pair.asked, pair.first, pair.second) for pair in pairs), *turned]

    def ratings(self) -> list[Request]:
        """Every pair that is to be rated."""
        return [rate_query(pair.asked, pair.answer) for pair in self.rating_pairs]

    def queries(self) -> list[Request]:
        """What the role is asked at rising width."""
        if self.role is Role.REVIEWER:
            return self.reviews()
        if self.role is Role.JUDGE:
            return self.judgements()
        return self.choices() if self.role is Role.GUIDE else self.rewrites()

    def forecasts(self) -> list[QueryForecast]:
        """What will be asked. A rewrite is reviewed too, unless it cannot be read."""
        queries = self.queries()
        forecasts = [forecast_of(queries, SEED_PROBES if self.role in SAMPLED else 0)]
        if self.role in REWRITERS:
            review = review_query(self.texts[0], self.texts[0])
            forecasts.append(_forecast([review], 0, len(queries), len(queries)))
        forecasts += [forecast_of(asked) for asked in (self.answers(), self.ratings()) if asked]
        return forecasts


REWRITERS = (Role.INSTRUCTOR, Role.EXPERT)

SAMPLED = (*REWRITERS, Role.GUIDE)
"""The roles whose replies are drawn: their seed matters."""


def planned(
    role: Role, identity: ModelIdentity, texts: Iterable[Instruction], size: Size, *, ratings: bool = False
) -> Planned:
    """What is asked of `role`; of a judge its `ratings` too, where pairs are to be dropped for them.

    `texts` are the seeds of the project, of which a part is taken by their hash.
    """
    drawn = tuple(sorted(texts, key=lambda text: content_hash("preflight", text.text, text.input)))
    drawn = drawn[: max(size.seeds, size.answers, size.guided)]
    calibrated = identity.provider == CALIBRATED
    return Planned(
        role,
        size,
        drawn,
        _drawn(review_pairs(), size.review_pairs, calibrated) if role is Role.REVIEWER else (),
        _drawn(judge_pairs(), size.judge_pairs, calibrated) if role is Role.JUDGE else (),
        _in_turn(rating_pairs(), size.rated, lambda pair: pair.good) if ratings and role is Role.JUDGE else (),
    )


def record_key(role: Role, identity: ModelIdentity) -> str:
    """What a preflight of a role is a function of: the model, its prompts, the pairs and the plan."""
    names = {Role.REVIEWER: ["review"], Role.GUIDE: ["guide"], Role.JUDGE: []}.get(
        role, [operation.value for operation in TEXT_OPERATIONS]
    )
    names += ["respond"] * (role is Role.EXPERT)
    prompts = [prompt(name).version for name in names] + [judge_prompt().version] * (role is Role.JUDGE)
    pairs = pairs_version(review_pairs() if role is Role.REVIEWER else judge_pairs() if role is Role.JUDGE else ())
    return content_hash("preflight", PLAN_VERSION, role.value, str(identity), prompts, pairs)


def ratings_key() -> str:
    """What, beside the model, a preflight of its ratings is a function of: their prompt and the pairs."""
    return content_hash("ratings", rate_prompt().version, pairs_version(rating_pairs()))


def most_queries(plans: Collection[Planned]) -> int:
    """The most that these plans ask: the bound of the preflight's own budget."""
    return sum(kind.most for plan in plans for kind in plan.forecasts())


def forecast_of(requests: Sequence[Request], more: int = 0) -> QueryForecast:
    """The forecast of asking all of `requests`, and `more` that are like them."""
    count = len(requests) + more
    return _forecast(requests, count, count, count)


def _forecast(requests: Sequence[Request], least: int, likely: int, most: int) -> QueryForecast:
    sizes = [sum(len(message.content.encode()) for message in request.messages) for request in requests]
    first = requests[0]
    return QueryForecast(
        first.role,
        Purpose(first.intent.purpose),
        least,
        likely,
        most,
        round(sum(sizes) / len(sizes)),
        max(request.sampling.max_tokens for request in requests),
    )


def _past(at: int) -> Sequence[Operation]:
    return TEXT_OPERATIONS[: at % len(TEXT_OPERATIONS)]


VerdictPair = TypeVar("VerdictPair", ReviewPair, JudgePair)


def _drawn(pairs: Sequence[VerdictPair], most: int, calibrated: bool) -> tuple[VerdictPair, ...]:
    """At most `most` pairs that no threshold was set on, the labels in turn."""
    usable = [pair for pair in pairs if pair.split is Split.TEST or not calibrated]
    return _in_turn(usable, most, lambda pair: pair.label)


def _in_turn(pairs: Sequence[AnyPair], most: int, label: Callable[[AnyPair], Any]) -> tuple[AnyPair, ...]:
    """At most `most` pairs, the labels in turn, each label's by the hash of their ids."""
    by_label: dict[Any, list[AnyPair]] = {}
    for pair in sorted(pairs, key=lambda pair: content_hash("preflight", pair.id)):
        by_label.setdefault(label(pair), []).append(pair)
    in_turn = chain.from_iterable(zip_longest(*(by_label[label] for label in sorted(by_label))))
    return tuple(pair for pair in in_turn if pair is not None)[:most]
