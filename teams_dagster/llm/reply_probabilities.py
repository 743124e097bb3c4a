"""How likely each allowed reply was, from the log-probabilities of the tokens of the one that was given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from teams_dagster.core.protocol import ReplyToken
from teams_dagster.core.replies import Choice


def reply_probabilities(
    text: str, tokens: Sequence[ReplyToken], reply: str, allowed: Choice
) -> dict[str, float] | None:
    """The probability of each of `allowed`, given that one of them is said; None where the tokens do not tell.

    Replies are told apart at the token where the given one leaves the others. There each likely token counts for the
    one reply that goes on so. Nothing is guessed: a reply that no listed token begins leaves all unknown, and so do
    replies that this token does not tell apart.

    Args:
        text: The whole reply, perhaps JSON around `reply`.
        tokens: What the model wrote, in order: the reply, perhaps after what it thought.
        reply: The one of `allowed` that it says.
    """
    answer = text.strip()
    answered = "".join(token.text for token in tokens).rfind(answer)
    if answered < 0:
        return None
    begins, place = answered + answer.rfind(reply), 0
    for token in tokens:
        ends = place + len(token.text)
        if ends > begins and (ends - begins >= _shared(reply, allowed) + 1 or ends >= begins + len(reply)):
            return _shares(
                text[place:begins] if place < begins else "", reply, max(0, place - begins), token.top, allowed
            )
        place = ends
    return None


def _shared(reply: str, allowed: Choice) -> int:
    """Characters at the beginning of `reply` that it shares with another allowed one, at most."""
    return max((_common(reply, other) for other in allowed.replies if other != reply), default=0)


def _common(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _shares(before: str, reply: str, said: int, top: Mapping[str, float], allowed: Choice) -> dict[str, float] | None:
    """The shares of the replies at a token that begins with `before` and goes on after `said` characters of `reply`."""
    mass = dict.fromkeys(allowed.replies, 0.0)
    for token, logprob in top.items():
        if not token.startswith(before):
            continue
        rest = token[len(before) :].rstrip('"}\n ')
        meant = [
            other
            for other in allowed.replies
            if rest and other[:said] == reply[:said] and other[said:].startswith(rest)
        ]
        if len(meant) == 1:
            mass[meant[0]] += math.exp(logprob)
    if not all(mass.values()):
        return None
    total = sum(mass.values())
    return {other: share / total for other, share in mass.items()}
