"""A verdict's probability, a soft reward, and verdicts taken in both orders of the two texts."""

import asyncio

import pytest
from pydantic import ValidationError

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import ModelIdentity, Purpose, Role
from teams_dagster.core.replies import Way
from teams_dagster.environment.recording import EpisodeTables, content_of
from teams_dagster.environment.reward import RewardConfig, RewardPreset, reward
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import ProbabilitiesMissing, may_give_probabilities, start, step
from teams_dagster.instructions.review import Verdict
from teams_dagster.policy.config import TrainingConfig
from tests.support.toy_world import ToyWorld, environment

SEED = Instruction("Explain how a violin makes sound", "some material")
KEY = EpisodeKey(0, EpisodePurpose.TRAIN, "trained", "v1", "seed-1", iteration=3)
BOTH = RewardConfig(both_orders=True)


def take(world, reward=None):
    return asyncio.run(step(environment(world, reward), KEY, start("seed-1", SEED), Operation.DEEPENING, 0.25))


def partial_to_the_second(before, after):
    """Calls the longer text another one when it comes second, and is of two minds when it comes first."""
    return ("Not Equal", 0.9) if len(after.text) > len(before.text) else ("Equal", 0.3)


def test_a_reviewed_transition_has_the_probability_of_not_equal():
    transition, _ = take(ToyWorld(reviewer=lambda before, after: ("Equal", 0.4)))
    assert transition.row()["verdict_probability"] == pytest.approx(0.4)


def test_without_probabilities_from_the_reviewer_the_column_is_null():
    transition, _ = take(ToyWorld())
    row = transition.row()
    assert (row["verdict"], row["verdict_probability"]) == ("not_equal", None)


def test_both_orders_are_two_reviews_and_count_as_two_queries():
    world = ToyWorld(reviewer=partial_to_the_second)
    transition, _ = take(world, BOTH)
    assert world.asked == {Purpose.REWRITE: 1, Purpose.REVIEW: 2}
    assert transition.queries == 3
    assert transition.reward == pytest.approx(1 - 3 * BOTH.price)


def test_both_orders_are_named_by_the_requests_that_asked_them():
    world = ToyWorld(reviewer=partial_to_the_second)
    transition, _ = take(world, BOTH)
    _, shown, turned = world.requests
    assert (turned.intent.before, turned.intent.after) == (shown.intent.after, shown.intent.before)
    assert transition.review_request_id != transition.turned_review_request_id
    assert transition.turned_review_request_id is not None


def test_both_orders_average_the_probability_and_tell_what_the_order_did():
    transition, _ = take(ToyWorld(reviewer=partial_to_the_second), BOTH)
    assert (transition.verdict, transition.accepted) == (Verdict.NOT_EQUAL, True)
    assert transition.verdict_probability == pytest.approx(0.6)
    assert transition.orders_agree is False
    assert transition.order_difference == pytest.approx(0.6)


def test_in_both_orders_an_edit_without_probabilities_is_accepted_only_by_both():
    partial = ToyWorld(reviewer=lambda before, after: (partial_to_the_second(before, after)[0], None))
    assert take(partial, BOTH)[0].verdict is Verdict.EQUAL
    assert take(ToyWorld(reviewer=lambda before, after: ("Not Equal", None)), BOTH)[0].verdict is Verdict.NOT_EQUAL


@pytest.mark.parametrize("failing", [0, 1])
def test_a_review_that_fails_in_either_order_ends_the_episode_and_both_count(failing):
    def fails(request):
        if request.intent.purpose is not Purpose.REVIEW:
            return False
        return (len(request.intent.after.text) > len(request.intent.before.text)) is (failing == 0)

    transition, state = take(ToyWorld(fails=fails), BOTH)
    assert state is None
    assert (transition.failure, transition.queries) == ("review: server: toy failure", 3)
    answered = transition.turned_review_request_id if failing == 0 else transition.review_request_id
    assert answered is not None


@pytest.mark.parametrize(("verdict", "accepted"), [("Equal", False), ("Not Equal", True)])
def test_a_soft_reward_is_the_probability_and_acceptance_stays_the_verdict(verdict, accepted):
    world, soft = (
        ToyWorld(reviewer=lambda before, after: (verdict, 0.4)),
        RewardConfig(preset=RewardPreset.PAPER, soft=True),
    )
    transition, _ = take(world, soft)
    assert transition.reward == pytest.approx(0.4)
    assert transition.accepted is accepted
    assert transition.row()["reward_preset"] == "paper_soft"


def test_a_soft_graded_reward_pays_a_refused_edit_by_its_probability_less_the_price():
    transition, state = take(ToyWorld(reviewer=lambda before, after: ("Equal", 0.4)), RewardConfig(soft=True))
    assert transition.reward == pytest.approx(0.4 - 2 * RewardConfig().price)
    assert transition.novelty is not None
    assert state is not None
    assert state.chain == (SEED,)


def test_a_single_reply_without_its_probability_counts_as_its_verdict_in_a_soft_reward():
    soft = RewardConfig(preset=RewardPreset.PAPER, soft=True)
    assert reward(soft, accepted=True, novelty=None, queries=2) == 1.0
    assert reward(soft, accepted=False, novelty=None, queries=2) == 0.0


def test_an_unclear_verdict_earns_nothing_in_a_soft_reward():
    transition, _ = take(ToyWorld(reviewer=lambda before, after: ("Who knows?", 0.9)), RewardConfig(soft=True))
    assert transition.reward == pytest.approx(-2 * RewardConfig().price)


class Rules(ToyWorld):
    def identity(self, role: Role) -> ModelIdentity:
        return ModelIdentity("offline", "rules")


def test_a_soft_reward_is_refused_where_the_reviewer_gives_no_probability():
    with pytest.raises(ProbabilitiesMissing, match=r"`soft: true`.*offline/rules gives no probabilities"):
        environment(Rules(), RewardConfig(soft=True))


@pytest.mark.parametrize(
    ("model", "may"),
    [
        (ModelIdentity("offline", "rules"), False),
        (ModelIdentity("openai", "m"), False),
        (ModelIdentity("transformers", "m"), False),
        (ModelIdentity("openai", "m", structured=Way.JSON_SCHEMA), True),
        (ModelIdentity("transformers", "m", structured=Way.LOGPROBS), True),
        (ModelIdentity("embedding", "minilm"), True),
    ],
)
def test_a_model_may_give_probabilities_where_it_is_held_to_its_replies_or_calibrated(model, may):
    assert may_give_probabilities(model) is may


def test_a_price_that_no_edit_in_both_orders_can_earn_is_refused():
    with pytest.raises(ValidationError, match="leave out `both_orders`"):
        RewardConfig(price=0.4, both_orders=True)


def test_with_both_options_off_every_hash_and_id_is_that_of_before_there_were_any():
    assert RewardConfig().model_dump(mode="json") == {"preset": "graded", "saturation": 0.06, "price": 0.1}
    assert content_hash("x", TrainingConfig().model_dump(mode="json")) == "937f81f5b051752be29d4e82b8fab159"
    assert environment(ToyWorld()).setting == "8768b1fec411666412224f952fdfb0da"
    transition, _ = take(ToyWorld())
    assert (transition.transition_id, transition.reward) == ("0064d73372975180869a986d0106dafc", 0.8)


def test_an_option_that_is_on_makes_other_transitions_and_survives_being_written_down():
    rewards = (RewardConfig(), BOTH, RewardConfig(soft=True))
    ids = {take(ToyWorld(), on)[0].transition_id for on in rewards}
    assert len(ids) == 3
    assert RewardConfig.model_validate(BOTH.model_dump(mode="json")) == BOTH


def test_probabilities_that_come_back_leave_the_data_version_of_a_generation_as_it_was(tmp_path):
    versions = set()
    for name, world in (
        ("with", ToyWorld(reviewer=lambda before, after: ("Equal", 0.4))),
        ("without", ToyWorld(verdict="Equal")),
    ):
        transition, state = take(world)
        assert state is not None
        episode = Episode(transition.episode_id, KEY, (start("seed-1", SEED), state), (transition,))
        with EpisodeTables(tmp_path / name, "run") as tables:
            tables.record([episode])
        versions.add(content_of(tmp_path / name / "transitions.parquet"))
    assert versions == {"c049fdd6e35a8ef7b9e03fd80d63fd65"}, "what it was before there were probabilities"
