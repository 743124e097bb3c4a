"""Whether a model's reply can be used, for every purpose: known after the first few, before all are paid."""

from __future__ import annotations

from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Purpose, Request, Role
from teams_dagster.dataset.quality.rating import Rating, parse_rating
from teams_dagster.evaluation.judging import Preference, parse_preference
from teams_dagster.instructions.elimination import Rule, eliminate_answer, eliminate_rewrite
from teams_dagster.instructions.requests import MalformedReply, parse_operation, parse_rewrite
from teams_dagster.instructions.review import Verdict, parse_verdict
from teams_dagster.llm.unusable import DECLINED, ECHOED, UNREADABLE

_OF_THE_MODEL = (Rule.EMPTY, Rule.MEANINGLESS, Rule.SHORT_APOLOGY)
"""The rules whose breach by a rewrite says that the model rewrites nothing."""


def fault(request: Request, reply: str) -> str | None:
    """Why a reply cannot be used; None where it can: `UNREADABLE`, `DECLINED`, or another rule that a text breaks."""
    intent = request.intent
    match intent.purpose:
        case Purpose.REVIEW:
            found = parse_verdict(reply) is not Verdict.UNCLEAR
        case Purpose.JUDGE:
            found = parse_preference(reply) is not Preference.UNCLEAR
        case Purpose.RATE:
            found = parse_rating(reply) is not Rating.UNCLEAR
        case Purpose.GUIDE:
            found = parse_operation(reply, Operation) is not None
        case Purpose.REWRITE:
            return _fault_of_rewrite(request, reply)
        case Purpose.RESPOND:
            broken = eliminate_answer(reply, intent.before)
            # What follows a text that has all but ended may be a full stop.
            return None if request.role is Role.GUIDE and broken is not Rule.SHORT_APOLOGY else _named(broken)
        case _:
            return None
    return None if found else UNREADABLE


def _fault_of_rewrite(request: Request, reply: str) -> str | None:
    """Whether it adds anything is the operation's business, of which policies learn; a refusal is the model's."""
    operation, before = request.intent.operation, request.intent.before
    if operation is None:
        return UNREADABLE
    try:
        rewritten = parse_rewrite(operation, before, reply)
    except MalformedReply:
        return UNREADABLE
    broken = eliminate_rewrite(rewritten, (before,))
    return _named(broken) if broken in _OF_THE_MODEL else None


def _named(rule: Rule | None) -> str | None:
    return {Rule.SHORT_APOLOGY: DECLINED, Rule.RETURNED: ECHOED}.get(rule, rule) if rule else None
