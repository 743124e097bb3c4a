"""One step of the decision process: a state and an operation in, a transition and the next state out."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation, Rewriting
from teams_dagster.core.protocol import Answer, LLMClient, ModelIdentity, QueryFailed, Request, Role
from teams_dagster.environment.reward import RewardConfig, RewardPreset, novelty, reward
from teams_dagster.environment.state import EpisodeKey, PastOperation, State, Transition, episode_id, transition_id
from teams_dagster.instructions.elimination import Rule, eliminate_outcome, eliminate_rewrite
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.prompts import prompt
from teams_dagster.instructions.requests import MalformedReply, parse_rewrite, review_query, rewrite_query
from teams_dagster.instructions.review import BothOrders, Review, Verdict, read_review
from teams_dagster.llm.ordered import in_order


@dataclass(frozen=True)
class Environment:
    """What an episode runs in: who is asked, and what is rewarded."""

    client: LLMClient
    pool: Pool
    """Frozen texts that novelty is measured against: constant in training, the same for every compared policy."""
    reward: RewardConfig
    rewriter: Role
    """Who rewrites: the instructor in training and comparison, the expert in generation."""

    def __post_init__(self) -> None:
        """Raises ProbabilitiesMissing for a soft reward by a reviewer that gives none."""
        if self.reward.soft and not may_give_probabilities(reviewer := self.client.identity(Role.REVIEWER)):
            raise ProbabilitiesMissing(reviewer)

    @property
    def setting(self) -> str:
        """Content hash of all that decides an episode besides its key: models, prompts, reward and pool."""
        models = (self.client.identity(role) for role in (self.rewriter, Role.REVIEWER))
        return content_hash(
            self.rewriter.value,
            [_named(model) for model in models],
            self.reward.model_dump(mode="json"),
            self.pool.version,
            [prompt(name).version for name in (*(operation.value for operation in TEXT_OPERATIONS), "review")],
        )


class ProbabilitiesMissing(ValueError):
    """A soft reward by a reviewer that says no probability."""

    def __init__(self, reviewer: ModelIdentity) -> None:
        super().__init__(
            f"`soft: true` of trained_policy needs P(Not Equal), and reviewer {reviewer} gives no probabilities: set"
            " TEAMS_REVIEWER_PROVIDER to `embedding` or `transformers`, or TEAMS_REVIEWER_STRUCTURED to `auto` at an"
            " endpoint with log-probabilities; or leave `soft` out"
        )


def may_give_probabilities(model: ModelIdentity) -> bool:
    """Whether a model can say how likely its verdict is: not the rules, nor one that is only told what to reply."""
    return model.provider != "offline" and (
        model.structured is not None or model.provider not in ("openai", "transformers")
    )


def _named(model: ModelIdentity) -> list[str]:
    """What of a model decides its answers."""
    held = [] if model.structured is None else [model.structured.value]
    return [model.provider, model.base_url, model.model, model.rules_version, *held]


async def step(
    environment: Environment,
    key: EpisodeKey,
    state: State,
    operation: Rewriting,
    probability: float,
    *,
    episode: str | None = None,
) -> tuple[Transition, State | None]:
    """Apply `operation`, chosen with `probability`, to the current text of `state`.

    Returns the transition and the next state; the next state is None when a query failed for good, which truncates
    the episode. Other errors (an exhausted budget, say) are not the episode's and go through. `episode` is the
    episode's id where the caller has it.
    """
    asked = unasked(environment, key, state, operation, probability, episode or episode_id(key, environment.setting))
    if operation is not Operation.NONE:
        asked = await _rewrite(environment, asked, state)
        if asked.after is not None and asked.eliminated_by is None and asked.failure is None:
            asked = await _review(environment, asked)
    if asked.failure is not None:
        return asked, None
    transition = _rewarded(environment, asked, state)
    return transition, _next(environment.reward.preset, state, transition)


def unasked(
    environment: Environment, key: EpisodeKey, state: State, operation: Rewriting, probability: float, episode: str
) -> Transition:
    """The transition at `state` before any query of it was asked."""
    return Transition(
        transition_id=transition_id(episode, state.step),
        parent_transition_id=state.produced_by,
        episode_id=episode,
        key=key,
        step=state.step,
        operation=operation,
        probability=probability,
        before=state.instruction,
        after=None,
        rewrite_request_id=None,
        review_request_id=None,
        prompt_version=None,
        review_prompt_version=None,
        pool_version=environment.pool.version,
        verdict=None,
        eliminated_by=None,
        failure=None,
        novelty=None,
        reward=0.0,
        accepted=False,
        queries=0,
        reward_preset=environment.reward.name,
    )


async def _rewrite(environment: Environment, asked: Transition, state: State) -> Transition:
    """Ask for the edit, read it, and test it against the elimination rules."""
    question = rewrite_query(environment.rewriter, asked.operation, asked.before, asked.key.replica)
    asked = asked.changed(prompt_version=question.prompt_version, queries=1)
    try:
        answer = await environment.client.ask(question, transition_id=asked.transition_id)
    except QueryFailed as failed:
        return asked.changed(failure=f"rewrite: {failed.kind.value}: {failed.detail}")
    asked = asked.changed(rewrite_request_id=answer.request_id, rewrite_usage=answer.completion.usage)
    if (rule := eliminate_outcome(answer.completion.outcome)) is not None:
        return asked.changed(eliminated_by=rule)
    try:
        after = parse_rewrite(asked.operation, asked.before, answer.completion.text)
    except MalformedReply:
        return asked.changed(eliminated_by=Rule.MALFORMED_REPLY)
    return asked.changed(after=after, eliminated_by=eliminate_rewrite(after, state.chain))


async def _review(environment: Environment, asked: Transition) -> Transition:
    """Ask the reviewer for its verdict on the edit. Every policy meets the same verdicts: replica 0."""
    if asked.after is None:
        raise ValueError(f"transition {asked.transition_id} has no edit to review")
    before, after = asked.before, asked.after
    query = review_query(before, after)
    asked = asked.changed(review_prompt_version=query.prompt_version, queries=environment.reward.queries_an_edit)
    if environment.reward.both_orders:
        return await _review_in_both_orders(environment, asked, query, review_query(after, before))
    answer = await _answer(environment, query, asked.transition_id)
    if isinstance(answer, QueryFailed):
        return asked.changed(failure=_review_failure(answer))
    said = _read(answer)
    return asked.changed(
        review_request_id=answer.request_id,
        review_usages=(answer.completion.usage,),
        verdict=said.verdict,
        verdict_probability=said.probability,
    )


async def _review_in_both_orders(environment: Environment, asked: Transition, *queries: Request) -> Transition:
    """Ask for both verdicts side by side, and make one of them."""

    async def ask(query: Request) -> Answer | QueryFailed:
        return await _answer(environment, query, asked.transition_id)

    async with aclosing(in_order(ask, queries, len(queries))) as answers:
        first, second = [answer async for answer in answers]
    if isinstance(first, Answer):
        asked = asked.changed(review_request_id=first.request_id)
    if isinstance(second, Answer):
        asked = asked.changed(turned_review_request_id=second.request_id)
    if isinstance(first, QueryFailed):
        return asked.changed(failure=_review_failure(first))
    if isinstance(second, QueryFailed):
        return asked.changed(failure=_review_failure(second))
    orders = BothOrders(_read(first), _read(second))
    return asked.changed(
        review_usages=(first.completion.usage, second.completion.usage),
        verdict=orders.together.verdict,
        verdict_probability=orders.together.probability,
        orders_agree=orders.agree,
        order_difference=orders.difference,
    )


async def _answer(environment: Environment, query: Request, transition: str) -> Answer | QueryFailed:
    try:
        return await environment.client.ask(query, transition_id=transition)
    except QueryFailed as failed:
        return failed


def _read(answer: Answer) -> Review:
    return read_review(answer.completion.text, answer.completion.probabilities)


def _review_failure(failed: QueryFailed) -> str:
    return f"review: {failed.kind.value}: {failed.detail}"


def _rewarded(environment: Environment, asked: Transition, state: State) -> Transition:
    """Accepted = an operation other than `none`, Not Equal, no elimination rule. Then the reward."""
    accepted, likely = asked.verdict is Verdict.NOT_EQUAL and asked.eliminated_by is None, asked.verdict_probability
    paid = accepted or (environment.reward.soft and likely is not None)
    new = novelty(asked.after, state.chain, environment.pool) if paid and asked.after else None
    value = reward(
        environment.reward,
        accepted=accepted,
        novelty=new,
        queries=asked.queries,
        probability=likely,
        nano_usd=environment.reward.edit_cost(asked.rewrite_usage, asked.review_usages),
    )
    return asked.changed(accepted=accepted, novelty=new, reward=value)


def _next(preset: RewardPreset, state: State, transition: Transition) -> State:
    """The state after `transition`.

    A rejected edit leaves the chain at its parent; preset `paper` continues from any edit that the reviewer saw.
    """
    past = (*state.past, PastOperation(transition.operation, transition.accepted))
    moves = transition.accepted or (preset is RewardPreset.PAPER and transition.verdict is not None)
    if not moves or transition.after is None:
        return replace(state, past=past)
    return State(state.seed_id, (*state.chain, transition.after), past, transition.transition_id, state.stream)


def start(seed_id: str, seed: Instruction, stream: str = "") -> State:
    """The first state of an episode; `stream` is the name of its random stream."""
    return State(seed_id, (seed,), stream=stream)
