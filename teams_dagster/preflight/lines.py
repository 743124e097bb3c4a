"""What a preflight says in a terminal: a line for each role, then what stood out, then the verdicts by kind of pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from teams_dagster.core.text import number, percent
from teams_dagster.ledger.traits import SHARED
from teams_dagster.preflight.accuracy import Accuracy
from teams_dagster.preflight.record import RoleRecord


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
