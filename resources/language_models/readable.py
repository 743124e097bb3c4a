"""Whether a model's reply can be read, for every purpose: known after the first few, before all are paid."""

from __future__ import annotations

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation, Rewriting
from teams_dagster.core.protocol import Purpose, Request
from teams_dagster.dataset.quality.rating import Rating, parse_rating
from teams_dagster.evaluation.judging import Preference, parse_preference
from teams_dagster.instructions.requests import MalformedReply, parse_operation, parse_rewrite
from teams_dagster.instructions.review import Verdict, parse_verdict


def readable(request: Request, reply: str) -> bool:
    """Whether a reply is in the form that `request` asks for: any text is an answer, few are a verdict."""
    intent = request.intent
    match intent.purpose:
        case Purpose.REVIEW:
            return parse_verdict(reply) is not Verdict.UNCLEAR
        case Purpose.JUDGE:
            return parse_preference(reply) is not Preference.UNCLEAR
        case Purpose.RATE:
            return parse_rating(reply) is not Rating.UNCLEAR
        case Purpose.GUIDE:
            return parse_operation(reply, Operation) is not None
        case Purpose.REWRITE:
            return intent.operation is not None and _holds_a_rewrite(intent.operation, intent.before, reply)
        case _:
            return True


def _holds_a_rewrite(operation: Rewriting, before: Instruction, reply: str) -> bool:
    try:
        parse_rewrite(operation, before, reply)
    except MalformedReply:
        return False
    return True
