"""The offline model: every purpose served by rule from a request's intent, in process, at price 0."""

from __future__ import annotations

from resources.language_models.offline.expert import respond
from resources.language_models.offline.guide import proposal
from resources.language_models.offline.harder import harder
from resources.language_models.offline.judge import preference
from resources.language_models.offline.kinds import Reading, read
from resources.language_models.offline.rater import rating
from resources.language_models.offline.reviewer import verdict
from resources.language_models.offline.rewording import reword
from resources.language_models.offline.rules import RULES, Edited
from resources.language_models.offline.version import rules_version
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import GenericRewrite, Returns, Rewriting
from teams_dagster.core.protocol import (
    Completion,
    CompletionError,
    ErrorKind,
    ModelIdentity,
    Outcome,
    Purpose,
    Request,
    Usage,
)


def rewrite(operation: Rewriting, before: Instruction, replica: int) -> str:
    """The reply to a rewrite: the bare text, or text and input in the stated format.

    An operation that has nothing left to add rewords the text. Raises ValueError for an operation without a rule.
    """
    edited = _edited(operation, read(before.text, before.input), replica) or reword(before.text, replica)
    text, material = (edited, before.input) if isinstance(edited, str) else edited
    if operation.returns is Returns.INSTRUCTION:
        return text
    return f"Instruction: {text}\nInput: {material.strip() or 'None'}"


def _edited(operation: Rewriting, reading: Reading, replica: int) -> Edited:
    if isinstance(operation, GenericRewrite):
        return harder(reading, replica)
    if operation.returns is Returns.NOTHING:
        raise ValueError(f"operation {operation.value!r} asks nothing, so the offline model has no reply for it")
    if operation not in RULES:
        raise ValueError(f"the offline model has no rule for operation {operation.value!r}; add one to `rules.RULES`")
    return RULES[operation].edit(reading, replica)


class OfflineModel:
    """A rule-based `LanguageModel`: honest about what it is, deterministic in (intent, replica), free.

    It reads the intent and no prompt, the guide its prompt and nothing else; sampling parameters and the role have no
    effect. It reports no token usage, because it has no tokens and a guess would look like a measurement. Rewrites and
    answers differ between replicas where there is a choice; verdicts do not.
    """

    def __init__(self, model: str = "rules") -> None:
        self._identity = ModelIdentity(provider="offline", model=model, rules_version=rules_version())

    @property
    def identity(self) -> ModelIdentity:
        """Provider `offline`, with the content hash of the rules."""
        return self._identity

    async def complete(self, request: Request) -> Completion:
        """Answer `request`. Raises CompletionError (rejected) where the intent lacks what its purpose needs."""
        return Completion(_reply(request), "stop", Outcome.USABLE, Usage())

    async def close(self) -> None:
        """Nothing to release."""


def _reply(request: Request) -> str:
    intent, replica = request.intent, request.replica
    match intent.purpose:
        case Purpose.REWRITE:
            if intent.operation is None:
                raise CompletionError(ErrorKind.REJECTED, "a rewrite needs an operation in its intent")
            return rewrite(intent.operation, intent.before, replica)
        case Purpose.REVIEW:
            if intent.after is None:
                raise CompletionError(ErrorKind.REJECTED, "a review needs the rewritten instruction in its intent")
            return verdict(intent.before, intent.after)
        case Purpose.RESPOND:
            return respond(intent.before, replica)
        case Purpose.GUIDE:
            return proposal(request.messages)
        case Purpose.JUDGE:
            if intent.answers is None:
                raise CompletionError(ErrorKind.REJECTED, "a judgement needs the two answers in its intent")
            return preference(intent.before, *intent.answers)
        case Purpose.RATE:
            if intent.answer is None:
                raise CompletionError(ErrorKind.REJECTED, "a rating needs the answer in its intent")
            return rating(intent.before, intent.answer)
        case Purpose.PROBE:
            raise CompletionError(ErrorKind.REJECTED, "the embedded rules are held to nothing")
