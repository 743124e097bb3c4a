"""Why replies cannot be used, and what whoever runs the step is told when none can."""

from __future__ import annotations

from collections import Counter

from teams_dagster.core.protocol import ErrorKind, Outcome, Purpose, Role
from teams_dagster.llm.circuit import naming_variables

UNREADABLE = "unreadable"
"""A whole text that is not in the form its prompt asks for."""

DECLINED = "declined"
"""A whole text that says in words that the model will not do what is asked."""

ALIKE = "alike"
"""The text that other queries of the kind got as well."""

ECHOED = "echoed"
"""A reply that is its prompt, or the instruction that it is about, and nothing else."""

_NAMES = {
    Purpose.REWRITE: "rewrites",
    Purpose.REVIEW: "verdicts",
    Purpose.RESPOND: "answers",
    Purpose.GUIDE: "choices of an operation",
    Purpose.JUDGE: "judgements",
    Purpose.RATE: "ratings",
}
"""What the replies to each purpose's queries are called, where that is not its name."""

_OR_GO_ON = (
    "Check {}MODEL and the seeds that are asked about; where both are meant, run the same step again for the next ones."
)

_CAUSES = {
    Outcome.EMPTY: ("were empty", "Check {}MODEL, and that its chat template suits it."),
    Outcome.REFUSAL: ("were refused by the provider", _OR_GO_ON),
    DECLINED: ("decline in words", _OR_GO_ON),
    ALIKE: (
        "are one and the same text, or a few in turn, whatever was asked",
        "Check {}MODEL and the server behind {}BASE_URL; where that text is right for all, run the same step again.",
    ),
    ECHOED: (
        "say back what was asked",
        "Check {}MODEL (is it a base model, without a chat template?) and the server behind {}BASE_URL.",
    ),
    Outcome.TRUNCATED: ("were cut off at {limit:,} tokens", "Raise {}MAX_TOKENS."),
    Outcome.REASONING_ONLY: (
        "were all thinking (in {limit:,} tokens at most) and no answer",
        "Raise {}MAX_TOKENS, or let the model think less with {}EXTRA.",
    ),
    Outcome.UNFINISHED: (
        "have no finish reason that says they are whole",
        "Check the server behind {}BASE_URL: it must say `stop`, or its like, where a text is whole.",
    ),
    Outcome.MALFORMED: ("hold no text that can be kept", "Check {}MODEL."),
    UNREADABLE: (
        "were not in the form that the prompt asks for",
        "Check that {}MODEL can follow it; one that thinks aloud needs a reasoning parser.",
    ),
}
"""What became of the replies, and what to do; `{}` stands for the role's prefix, `TEAMS_EXPERT_` for one."""

_FAILED = ("failed ({cause})", "Check {}BASE_URL, {}MODEL and {}MAX_TOKENS.")

_ELIMINATED = ("are eliminated by the rule `{cause}`", "Check that {}MODEL can do what the prompt asks for.")


class NothingUsable(Exception):
    """Ends a step whose queries of one kind bring nothing that it can use. What is paid is kept."""

    def __init__(
        self, role: Role, purpose: Purpose, found: Counter[str], limit: int, detail: str, *, first: bool
    ) -> None:
        """`found` counts causes, `limit` is the tokens that the last reply might take, `detail` what it said.

        `first` says whether they are the first replies of their kind, or those after others that could be used.
        """
        cause, times = found.most_common(1)[0]
        became, advice = _CAUSES.get(cause) or (_FAILED if cause in set(ErrorKind) else _ELIMINATED)
        shown = f" The last: {' '.join(detail.split())[:200]!r}." if detail.strip() else ""
        which = "first" if first else "last"
        asked = f"the {which} {found.total()} {_NAMES.get(purpose, purpose)} of {role.value}"
        what = asked if cause == ALIKE else f"none of {asked} can be used: {times}"
        super().__init__(
            f"{what} {became.format(limit=limit, cause=cause)}. {naming_variables(advice, role)}{shown}"
            " What is paid is kept: once this is fixed, run the same step again and it goes on from there."
        )
        self.role, self.purpose, self.cause = role, purpose, cause
