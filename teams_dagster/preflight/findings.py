"""What is good enough, and how a preflight reads: the sentences by which it fails or warns, its lines in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from teams_dagster.core.protocol import Role
from teams_dagster.core.text import number, percent
from teams_dagster.ledger.traits import SHARED
from teams_dagster.preflight.accuracy import Accuracy, Share, wilson
from teams_dagster.preflight.record import OperationCount, RoleRecord, SeedUse

STOPS_BELOW = 0.70
"""Whose balanced accuracy may be lower than this, at 95%, trains nothing as a reviewer, drops nothing as a judge."""

WARNS_BELOW = 0.85

QUICK_SAID = ", by a quick preflight, whose interval is wide: run teams preflight without --quick to narrow it"

READABLE_STOPS, READABLE_WARNS = 0.5, 0.9
"""Shares of replies that can be read: below the first a role is of no use, below the second it is told."""

UNANSWERED_STOPS = 0.1
"""The share of queries that may stay unanswered."""


def accuracy_faults(role: Role, model: str, accuracy: Accuracy, *, quick: bool) -> tuple[list[str], list[str]]:
    """Failures and warnings of a reviewer's, or a judge's, accuracy."""
    setting = f"TEAMS_{role.name}_MODEL"
    measured = (
        f"the {role.value} {model} has a balanced accuracy of {number(accuracy.balanced)} on {accuracy.pairs} labelled"
        f" pairs (95%: {number(accuracy.low)} to {number(accuracy.high)})"
    )
    if quick:
        measured += QUICK_SAID
    stops = STOPS_BELOW if role is Role.REVIEWER else 1 / accuracy.labels
    consequence = "nothing is trained on its verdicts" if role is Role.REVIEWER else "it cannot be told from chance"
    if accuracy.low < stops:
        return [
            f"{measured}. Its lower bound is below {number(stops)}: {consequence}. Set {setting} to another model"
        ], []
    if accuracy.low < WARNS_BELOW:
        return [], [
            f"{measured}. Its lower bound is below {number(WARNS_BELOW)}: what rests on its verdicts is uncertain"
        ]
    return [], []


def rating_faults(model: str, accuracy: Accuracy, *, quick: bool) -> tuple[list[str], list[str]]:
    """Failures and warnings of how a judge tells good pairs from bad ones."""
    measured = (
        f"the judge {model} tells good pairs from bad ones with a balanced accuracy of {number(accuracy.balanced)} on"
        f" {accuracy.pairs} labelled pairs (95%: {number(accuracy.low)} to {number(accuracy.high)})"
    )
    if quick:
        measured += QUICK_SAID
    if accuracy.low < STOPS_BELOW:
        return [
            f"{measured}. Its lower bound is below {number(STOPS_BELOW)}: it may not drop a pair. Set TEAMS_JUDGE_MODEL"
            " to another model"
        ], []
    if accuracy.low < WARNS_BELOW:
        return [], [
            f"{measured}. Its lower bound is below {number(WARNS_BELOW)}: good pairs may be dropped, or bad kept"
        ]
    return [], []


def readable_faults(role: Role, model: str, readable: Share) -> tuple[list[str], list[str]]:
    """Failures and warnings of replies that cannot be read."""
    said = f"{readable.count} of {readable.of} replies of the {role.value} {model} could be read"
    if readable.value < READABLE_STOPS:
        return [f"{said}. Set TEAMS_{role.name}_MODEL to another model, or give it examples (TEAMS_PROMPTS)"], []
    return [], [said] if readable.value < READABLE_WARNS else []


def rewrite_faults(role: Role, model: str, operations: Sequence[OperationCount]) -> tuple[list[str], list[str]]:
    """Failures and warnings of an instructor's, or an expert's, rewrites."""
    asked = sum(one.asked for one in operations)
    read = asked - sum(one.malformed + one.eliminated for one in operations)
    failures, warnings = readable_faults(role, model, wilson(read, asked))
    if not failures and sum(one.reviewed for one in operations) and not sum(one.accepted for one in operations):
        warnings.append(f"none of {asked} rewrites of the {role.value} {model} was accepted by the reviewer")
    return failures, warnings


def ratings_unmeasured(model: str, failures: Sequence[str], asked: int) -> str:
    """What is said where none of the good pairs, or of the bad ones, was rated; `failures` says why, once for each."""
    return (
        f"the ratings of the judge {model} were not measured: {len(failures)} of {asked} queries got no answer"
        f" ({failures[0]}), those of every good pair or of every bad one among them. It may not drop a pair. Run"
        " teams preflight again when it answers, or set TEAMS_JUDGE_MODEL to another model"
    )


def answering_faults(
    role: Role, model: str, failures: Sequence[str], asked: int, *, measured: bool = True
) -> tuple[list[str], list[str]]:
    """Failures and warnings of queries that got no answer; `failures` says why, once for each.

    Where for want of them nothing was `measured`, they are a failure whatever their share.
    """
    if not failures:
        return [], []
    said = f"{len(failures)} of {asked} queries to the {role.value} {model} got no answer: {failures[0]}"
    return ([], [said]) if measured and len(failures) <= UNANSWERED_STOPS * asked else ([said], [])


def seed_faults(role: Role, model: str, seed: SeedUse | None) -> tuple[list[str], list[str]]:
    """Failures and warnings of what a model does with the seed."""
    if seed is not SeedUse.WITHOUT_EFFECT:
        return [], []
    return [], [
        f"the {role.value} {model} answers the same whatever the seed: a query that is asked anew, in a later"
        " generation say, brings the same text"
    ]


def role_line(record: RoleRecord) -> str:
    """Everything that was found out about a role, in one line."""
    return f"{record.role.value} {record.model}: {', '.join([record.status.value, *_facts(record)])}"


def preflight_lines(records: Sequence[RoleRecord]) -> list[str]:
    """The whole result."""
    lines = [role_line(record) for record in records]
    for record in records:
        sentences = (
            *(f"failed: {each}" for each in record.failures),
            *(f"warning: {each}" for each in record.warnings),
            *(f"ratings failed: {each}" for each in (record.ratings.failures if record.ratings else ())),
            *(f"warning of ratings: {each}" for each in (record.ratings.warnings if record.ratings else ())),
        )
        lines += ["", *sentences] if sentences else []
    for record in records:
        if record.accuracy is not None:
            lines += ["", *_kinds(record.role.value, record.accuracy)]
        if record.ratings is not None and record.ratings.accuracy is not None:
            lines += ["", *_kinds(f"ratings of the {record.role.value}", record.ratings.accuracy)]
    return lines


def _facts(record: RoleRecord) -> Iterator[str]:
    if not record.reached:
        return
    yield f"{record.queries} queries"
    if record.accuracy is not None:
        yield from _accuracy(record.accuracy)
        if record.quick:
            yield f"quick: that interval is {number(record.accuracy.high - record.accuracy.low)} wide"
    if record.ratings is not None and record.ratings.accuracy is not None:
        rated = record.ratings.accuracy
        yield (
            f"ratings: balanced accuracy {number(rated.balanced)} (95%: {number(rated.low)} to {number(rated.high)}) on"
            f" {rated.pairs} pairs, good from bad"
        )
    if record.readable is not None:
        yield f"{record.readable.count} of {record.readable.of} replies readable"
    if record.operations:
        yield from _operations(record)
    yield "price known" if record.priced else "price unknown"
    for trait, value in record.traits.items():
        if not trait.startswith(SHARED):
            yield f"{trait} {value}"
        elif trait == f"{SHARED}{record.role.value}":
            yield f"served by {value}"
    yield f"log-probabilities {'come back' if record.log_probabilities else 'do not come back'}"
    if record.seed is not None:
        yield f"seed {record.seed.value}"
    if record.tokens is not None:
        yield f"{record.tokens:,.0f} tokens a reply"
    if record.seconds is not None:
        yield f"{record.seconds:.2f} s a reply"
    if record.width is not None:
        best = next(rate for rate in record.widths if rate.width == record.width)
        yield f"best with {record.width} at once ({best.per_second:.1f} replies a second)"


def _accuracy(accuracy: Accuracy) -> Iterator[str]:
    yield (
        f"balanced accuracy {number(accuracy.balanced)} (95%: {number(accuracy.low)} to {number(accuracy.high)}) on"
        f" {accuracy.pairs} pairs, chance {number(1 / accuracy.labels)}, {accuracy.unclear} unclear"
    )
    changed = accuracy.position.changed
    if changed.of:
        yield (
            f"position bias: {changed.count} of {changed.of} verdicts change with the order"
            f" (95%: {number(changed.low)} to {number(changed.high)})"
        )


def _operations(record: RoleRecord) -> Iterator[str]:
    asked = sum(one.asked for one in record.operations)
    yield f"{sum(one.malformed for one in record.operations)} of {asked} rewrites break the format"
    shares = (f"{one.operation} {one.accepted}/{one.asked}" for one in record.operations)
    yield f"accepted: {' '.join(shares)}"


def _kinds(who: str, accuracy: Accuracy) -> Iterator[str]:
    yield f"{who}, by kind of pair (label): right of pairs"
    for kind in accuracy.kinds:
        unclear = f", {kind.unclear} unclear" if kind.unclear else ""
        yield f"  {kind.kind} ({kind.label}): {kind.right} of {kind.pairs} ({percent(kind.right, kind.pairs)}){unclear}"
