"""The trials of all the kinds of query that an engine asks: each reply is put to its kind, with what it is worth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from teams_dagster.core.protocol import Completion, Outcome, Purpose, QueryFailed, Request, Role
from teams_dagster.llm.canned import could_be_a_label, could_be_brief, is_echo, may_well_be_declined, told_apart
from teams_dagster.llm.constraints import as_asked_for
from teams_dagster.llm.trial import Step, Trial
from teams_dagster.llm.unusable import DECLINED, ECHOED

_OWN_WORDS = frozenset(
    {(role, purpose) for role in (Role.EXPERT, Role.INSTRUCTOR) for purpose in (Purpose.REWRITE, Purpose.RESPOND)}
)
"""Kinds whose replies are as different as what is asked; the others choose among a few, or end a text."""

_REFUSALS = frozenset({Outcome.REFUSAL.value, DECLINED})


class Trials:
    """The trials of an engine's kinds of query."""

    def __init__(self, fault: Callable[[Request, str], str | None], by_rules: frozenset[Role] = frozenset()) -> None:
        """`fault` says why a whole text is no reply to its request: `UNREADABLE`, say; None where it is one.

        The roles that are served `by_rules` cost nothing, and may say the same to much.
        """
        self._fault = fault
        self._by_rules = by_rules
        self._trials: dict[tuple[Role, Purpose], Trial] = {}
        self._step = Step()

    def turn(self, request: Request) -> AbstractAsyncContextManager[None]:
        """Wait until one more query of the kind may be under way; it is, for the block. Raises what ended the step."""
        return self._of(request).turn()

    def sending(self, request: Request) -> AbstractAsyncContextManager[None]:
        """Wait while enough of the kind are on their way to tell whether it still works; then this one is, too.

        Raises what ended the step.
        """
        return self._of(request).sending()

    def end(self, reason: Exception) -> None:
        """The step ends for `reason`: nothing more of any kind is sent."""
        self._step.end(reason)

    def check(self, request: Request) -> None:
        """Raises what ended the step."""
        self._step.check()

    def heard(self, request: Request) -> None:
        """Something came of a query: a reply, or a failure after which it is not written otherwise."""
        self._of(request).heard()

    def reused(self, request: Request, completion: Completion) -> None:
        """A stored answer: one that can be used shows that the kind works, others say nothing of what comes now."""
        trial = self._of(request)
        if completion.outcome is Outcome.USABLE and (trial.passed or self._cause(request, completion) is None):
            trial.known_to_work(told_apart(request, completion.text))

    def answered(self, request: Request, completion: Completion) -> Exception | None:
        """What a query brought. What ended the step, when it is one too many that cannot be used; otherwise None.

        Told as soon as it comes, so that no more are sent while it is put on the ledger.
        """
        trial, cause = self._of(request), self._cause(request, completion)
        trial.heard()
        if cause is None:
            text = completion.text
            label, brief = could_be_a_label(request, text), could_be_brief(request, text)
            return trial.usable(
                hash(request.messages), text, label=label, brief=brief, told_apart=told_apart(request, text)
            )
        of_the_texts = cause in _REFUSALS and may_well_be_declined(request)
        return trial.unusable(cause, request.sampling.max_tokens, completion.text, of_the_texts=of_the_texts)

    def failed(self, request: Request, failure: QueryFailed) -> None:
        """A query brought nothing, after every attempt. Raises NothingUsable when it is one too many at first.

        Later the endpoint's circuit tells whether it is broken.
        """
        trial = self._of(request)
        if not trial.passed and (reason := trial.unusable(failure.kind, request.sampling.max_tokens, failure.detail)):
            raise reason

    def _of(self, request: Request) -> Trial:
        kind = request.role, request.intent.purpose
        if (trial := self._trials.get(kind)) is None:
            trial = self._trials[kind] = Trial(
                *kind, self._step, own_words=kind in _OWN_WORDS and request.role not in self._by_rules
            )
        return trial

    def _cause(self, request: Request, completion: Completion) -> str | None:
        """Why an answer cannot be used; None where it can. What a guide says may be cut off where it is enough."""
        cut_off = completion.outcome is Outcome.TRUNCATED and request.role is Role.GUIDE
        if completion.outcome is not Outcome.USABLE and not cut_off:
            return completion.outcome
        text = as_asked_for(request, completion).text
        fault = self._fault(request, text)
        if fault is None and (request.role, request.intent.purpose) in _OWN_WORDS and is_echo(request, text):
            return ECHOED
        return completion.outcome if fault is not None and cut_off else fault
