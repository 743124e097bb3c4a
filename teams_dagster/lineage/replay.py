"""Replaying generations from the ledger, without a network: verification, not trust.

A generation is a function of its manifest, its seeds, its policy and the answers on the ledger. So it is run again
with an client that only reads the ledger, and what comes out must be what was stored: every prompt (an altered one has
another key and no answer), parsed text, rule, verdict, reward, probability and id.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import Any

from teams_dagster.core.following import Following
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Answer, ErrorKind, ModelIdentity, QueryFailed, Request, Role
from teams_dagster.dataset.sample import Sample
from teams_dagster.environment.decisions import Actor, Decider, Decision, apart, drawn
from teams_dagster.environment.episodes import EpisodePlan, stream_episodes
from teams_dagster.environment.state import EpisodeKey, State, Transition
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.elimination import Rule
from teams_dagster.instructions.novelty import EARLIER_MEASURES, Pool
from teams_dagster.ledger.records import StoredAnswer
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.constraints import as_asked_for, as_sent
from teams_dagster.llm.keys import request_key
from teams_dagster.store.integrity import TOLERANCE, Difference, Verification

_ANSWER_RULES = frozenset((Rule.MEANINGLESS, Rule.SHORT_APOLOGY, Rule.RETURNED))
"""They say something else of a few answers than release 0.1.0 did; that rows are as they were written is told apart."""

NO_ANSWER = "its query got no answer at the time"

_OTHERWISE = "answers judged by the rules of an earlier version of this code"

_EDITS_OTHERWISE = "edits judged by the rules of an earlier version of this code, and what followed"

_MEASURED_OTHERWISE = "edits of which an earlier version of this code took something for news that says nothing"

OTHER_FEATURES = "probabilities of a policy that reads features of another version"

LASTING = frozenset((NO_ANSWER, _OTHERWISE, _EDITS_OTHERWISE, _MEASURED_OTHERWISE, OTHER_FEATURES))
"""Why rows cannot be verified, where it lies in the rows and in this code, and not in the machine or what is installed:
repeating the replay would find the same."""

_EDIT_RULES = frozenset((Rule.INJECTION, Rule.RETURNED, Rule.SHORT_APOLOGY))
"""They say something else of a few edits than earlier versions did, which the reviewer was then asked about, or not."""

_OPERATIONS = tuple(Operation)


class ReplayImpossible(Exception):
    """What is stored leads nowhere; the message says where."""


class LedgerAsker:
    """Answers from the ledger and from nowhere else. What is asked side by side is looked up together."""

    def __init__(self, ledger: Ledger, models: Iterable[tuple[str, ModelIdentity]]) -> None:
        """`models` as a generation's manifest names them: (role, model)."""
        self._ledger = ledger
        self._models = {Role(role): identity for role, identity in models}
        self._asked: dict[str, asyncio.Future[StoredAnswer | None]] = {}

    def identity(self, role: Role) -> ModelIdentity:
        """The model that served `role` when the queries were asked."""
        return self._models[role]

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The stored answer. Raises QueryFailed when the ledger has none."""
        identity = self._models[request.role]
        request = as_sent(request, identity)
        key = request_key(identity, request)
        stored = await self._stored(key)
        if stored is None:
            raise QueryFailed(ErrorKind.REJECTED, f"the ledger has no answer to {key}", attempts=0)
        return Answer(as_asked_for(request, stored.completion), stored.request_id, key, reused=True)

    async def _stored(self, key: str) -> StoredAnswer | None:
        if key not in self._asked:
            loop = asyncio.get_running_loop()
            if not self._asked:
                loop.call_soon(self._look_up)  # after all that can run now has asked
            self._asked[key] = loop.create_future()
        return await asyncio.shield(self._asked[key])

    def _look_up(self) -> None:
        asked, self._asked = self._asked, {}
        try:
            found = self._ledger.answers(asked.keys())
        except Exception as error:
            for waiting in asked.values():
                waiting.set_exception(error)
            return
        for key, waiting in asked.items():
            waiting.set_result(found.get(key))


class StoredDecisions:
    """A decider that chooses what was chosen, where the policy itself cannot be run. Memory holds every choice."""

    def __init__(self, stored: Iterable[Mapping[str, Any]]) -> None:
        """`stored` are rows of table `transitions`."""
        self._chosen = {
            row["transition_id"]: Decision(Operation(row["operation"]), row["probability"]) for row in stored
        }

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """Raises ReplayImpossible for a transition that was not stored."""
        if transition not in self._chosen:
            raise ReplayImpossible(f"no stored transition has the id {transition}, which the ledger's answers lead to")
        return self._chosen[transition]


PROBABILITY_TOLERANCE = 1e-3
"""Within which a language model's probabilities are computed again: its products differ between processors."""


class NearlyAsStored:
    """A decider that chooses what was chosen, with the stored probability, where a policy in float32 agrees nearly.

    The draw must fall on the stored operation, and its probability be the stored one, each within the tolerance; else
    the policy's own choice stands, which then differs from the stored row.
    """

    def __init__(self, actor: Actor, stored: Iterable[Mapping[str, Any]]) -> None:
        """`stored` are rows of table `transitions`."""
        self._actor = actor
        self._chosen = {row["transition_id"]: (Operation(row["operation"]), row["probability"]) for row in stored}

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The stored operation, or the policy's own."""
        probabilities = await apart(partial(self._actor.probabilities, state))
        point = key.draw(state.step, "action")
        operation, probability = self._chosen.get(transition, (None, 0.0))
        if operation is not None:
            index = _OPERATIONS.index(operation)
            ends = float(probabilities[: index + 1].sum())
            begins = ends - float(probabilities[index])
            near = begins - PROBABILITY_TOLERANCE <= point <= ends + PROBABILITY_TOLERANCE
            if near and abs(float(probabilities[index]) - probability) <= PROBABILITY_TOLERANCE:
                return Decision(operation, probability)
        return drawn(probabilities, point)


async def replay_transitions(
    environment: Environment,
    actor: Actor | Decider,
    plans: Iterable[EpisodePlan],
    stored: Iterable[Mapping[str, Any]],
    into: Verification,
    *,
    progress: Callable[[str], None],
) -> None:
    """Replay the episodes of `plans` and compare each transition with its stored row.

    `stored` are the rows of table `transitions` in their order, which is the order of `plans`.
    """
    stored_episodes = groupby(stored, key=itemgetter("episode_id"))
    done = 0
    async for episode in stream_episodes(environment, actor, plans):
        _, rows = next(stored_episodes, (None, ()))
        _compare_episode(list(rows), episode.recorded, environment.pool, into)
        done += 1
        if done % 1000 == 0:
            progress(f"replayed {done} episodes, {into.verified} rows agree")
    for _, rows in stored_episodes:
        _compare_episode(list(rows), (), environment.pool, into)


def _compare_episode(
    rows: Sequence[Mapping[str, Any]], replayed: Sequence[Transition], pool: Pool, into: Verification
) -> None:
    for at, (row, transition) in enumerate(zip_longest(rows, replayed)):
        stored_id = None if row is None else row["transition_id"]
        if row is None or transition is None:
            replayed_id = None if transition is None else transition.transition_id
            into.differ(
                Difference("transitions", stored_id or replayed_id or "", "transition_id", stored_id, replayed_id)
            )
        elif row.get("failure"):
            into.skip(NO_ANSWER)
            return
        elif row["eliminated_by"] != transition.eliminated_by and not _EDIT_RULES.isdisjoint(
            (row["eliminated_by"], transition.eliminated_by)
        ):
            into.skip(_EDITS_OTHERWISE, len(rows) - at)
            return
        elif _measured_earlier(row["novelty"], replayed[: at + 1], pool):
            into.skip(_MEASURED_OTHERWISE)
        else:
            into.compare("transitions", row["transition_id"], row, transition.row())


def _measured_earlier(stored: float | None, replayed: Sequence[Transition], pool: Pool) -> bool:
    """Whether the novelty that is `stored` of the last one of an episode is the figure of an earlier version."""
    edit = replayed[-1]
    if stored is None or edit.novelty is None or edit.after is None or math.isclose(stored, edit.novelty):
        return False
    after, chain = edit.after, dict.fromkeys(transition.before for transition in replayed)
    known = pool.largest_similarity(after)
    nearest = (max(measure(after, earlier) for earlier in chain) for measure in EARLIER_MEASURES)
    return any(math.isclose(stored, 1.0 - max(known, each), abs_tol=TOLERANCE) for each in nearest)


async def replay_samples(
    replayed: AsyncIterator[Sample],
    stored: Iterable[Mapping[str, Any]],
    into: Verification,
    *,
    answers: Iterable[Mapping[str, Any]],
) -> None:
    """Compare each sample answered again from the ledger with its stored row; both in the same order.

    `answers` are the stored rows of all answers, those of a sample together, where several were asked for.
    """
    rows = iter(stored)
    given = Following((name, list(group)) for name, group in groupby(answers, key=itemgetter("sample_id")))
    async for sample in replayed:
        replayed_answers = sample.answer_rows()
        by_number = {row["answer"]: row for row in given.take(sample.sample_id) or ()} if replayed_answers else {}
        for again in replayed_answers:
            _compare_answer(again, by_number.get(again["answer"]), into)
        row = next(rows, None)
        if row is None:
            into.differ(Difference("samples", sample.sample_id, "sample_id", None, sample.sample_id))
        elif row["respond_request_id"] is None:
            into.skip(NO_ANSWER)
        elif _judged_otherwise(row["reason"], sample.reason) or any(
            _judged_otherwise(by_number.get(again["answer"], again)["reason"], again["reason"])
            for again in replayed_answers
        ):  # of several answers a sample then has another as its own
            into.skip(_OTHERWISE)
        else:
            into.compare("samples", row["sample_id"], row, sample.row())
    for row in rows:
        into.differ(Difference("samples", row["sample_id"], "sample_id", row["sample_id"], None))


def _judged_otherwise(stored: object, now: object) -> bool:
    """Whether two reasons to refuse an answer differ by a rule that an earlier version had otherwise."""
    return stored != now and not _ANSWER_RULES.isdisjoint((stored, now))


def _compare_answer(again: Mapping[str, Any], row: Mapping[str, Any] | None, into: Verification) -> None:
    name = f"{again['sample_id']}, answer {again['answer']}"
    if row is None:
        into.differ(Difference("sample_answers", name, "sample_id", None, again["sample_id"]))
    elif row["respond_request_id"] is None:
        into.skip(NO_ANSWER)
    elif _judged_otherwise(row["reason"], again["reason"]):
        into.skip(_OTHERWISE)
    else:
        into.compare("sample_answers", name, row, again)
