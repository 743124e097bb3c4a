"""Who writes which token: as planned, with switches below the length that came."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from teams_dagster.policy.algorithms.batch import Who
from teams_dagster.rlgf.algorithms import token_algorithm
from teams_dagster.rlgf.collecting import Prompt, rewarded, write_texts
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.sequences import EndReason

END, LIMIT = 0, 8
PROMPTS = [Prompt(f"prompt {index}", (index + 1,)) for index in range(64)]


@dataclass
class Scribe:
    """Writes `letter` until it has written `length` tokens, the last of which ends the text."""

    letter: int
    length: int
    rooms: list[int] = field(default_factory=list)

    def write(self, begun: Sequence) -> list[tuple[int, ...]]:
        self.rooms += [text.room for text in begun]
        whole = (*[self.letter] * (self.length - 1), END) if self.length else ()
        return [whole[: text.room] for text in begun]


def collect(name, learner=3, guide=3, iteration=0, **options):
    config = RLGFConfig.model_validate({"algorithm": {"name": name, **options}, "iterations": 30})
    writers = {Who.LEARNER: Scribe(1, learner), Who.GUIDE: Scribe(2, guide)}
    written = write_texts(
        token_algorithm(config), writers, PROMPTS, iteration=iteration, limit=LIMIT, ends=frozenset({END}), key=("t",)
    )
    return written, writers


def switches(texts):
    """How many tokens the first writer of each text has in it."""
    return [sum(who is text.writers[0] for who in text.writers) for text in texts]


@pytest.mark.parametrize("name", ["ppo", "grpo", "rloo", "expert_iteration", "online_dpo"])
def test_the_learner_writes_alone_without_a_guide(name):
    written, writers = collect(name)
    assert {who for text in written.texts for who in text.writers} == {Who.LEARNER}
    assert (written.learner_tokens, written.guide_tokens) == (64 * 3, 0)
    assert not writers[Who.GUIDE].rooms


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_is_refused_with_its_prompt_and_value(value):
    written, _ = collect("ppo")
    rewards = [0.0, 0.0, 0.0, value, *[0.0] * 60]
    with pytest.raises(ValueError, match=f"the text after prompt 'prompt 3' earned {value}"):
        rewarded(written, rewards)


def test_behaviour_cloning_is_of_the_guides_texts():
    written, _ = collect("bc")
    assert {who for text in written.texts for who in text.writers} == {Who.GUIDE}


def test_the_guide_writes_the_first_texts_of_dagger_whole():
    written, _ = collect("dagger")
    assert {who for text in written.texts for who in text.writers} == {Who.GUIDE}


def test_daggers_guide_goes_on_from_every_state_that_the_learner_met():
    written, _ = collect("dagger", iteration=1, learner=3, guide=LIMIT)
    begun = [sum(who is Who.LEARNER for who in text.writers) for text in written.texts]
    assert {*begun} == {0, 1, 2}
    assert {text.writers[-1] for text in written.texts} == {Who.GUIDE}


def test_learner_and_guide_share_gails_texts_and_none_is_of_both():
    written, _ = collect("gail", guide_share=0.25)
    writers = [{*text.writers} for text in written.texts]
    assert {len(who) for who in writers} == {1}
    assert 0.1 < sum(who == {Who.GUIDE} for who in writers) / 64 < 0.4


def test_a_guide_that_ends_early_still_begins_every_text_of_ppo_plus_plus():
    written, _ = collect("ppo_plus_plus", learner=LIMIT, guide=3, beta=1.0)
    assert {text.writers[0] for text in written.texts} == {Who.GUIDE}
    assert {*switches(written.texts)} == {1, 2}
    assert all(text.tokens[-1] != END or text.writers[-1] is Who.LEARNER for text in written.texts)


def test_what_the_guide_wrote_after_the_switch_is_dropped_and_counted():
    written, _ = collect("ppo_plus_plus", learner=LIMIT, guide=5, beta=1.0)
    assert written.guide_tokens == 64 * 5
    assert sum(who is Who.GUIDE for text in written.texts for who in text.writers) < written.guide_tokens


def test_a_guide_of_one_token_leaves_the_text_to_the_learner():
    written, _ = collect("ppo_plus_plus", guide=1, beta=1.0)
    assert {who for text in written.texts for who in text.writers} == {Who.LEARNER}


def test_the_share_of_texts_that_the_guide_begins_is_beta():
    written, _ = collect("ppo_plus_plus", beta=0.5)
    assert 0.3 < sum(text.writers[0] is Who.GUIDE for text in written.texts) / 64 < 0.7


def test_aggrevateds_guide_completes_below_the_length_that_the_learner_wrote():
    written, _ = collect("aggrevated", learner=4, guide=LIMIT, beta=1.0)
    assert {*switches(written.texts)} == {1, 2, 3, 4}
    whole = [text for text in written.texts if Who.GUIDE not in text.writers]
    assert all(text.tokens[-1] == END and text.end is EndReason.ENDED for text in whole)


def test_the_guide_writes_whole_texts_of_aggrevated_where_the_learner_begins_none():
    written, _ = collect("aggrevated", beta=0.0)
    assert {who for text in written.texts for who in text.writers} == {Who.GUIDE}


def test_nobody_writes_past_the_limit():
    written, writers = collect("ppo_plus_plus", learner=99, guide=99, beta=1.0)
    assert {len(text.tokens) for text in written.texts} == {LIMIT}
    assert {text.end for text in written.texts} == {EndReason.LENGTH}
    assert min(writers[Who.LEARNER].rooms) >= 1


def test_a_writer_who_writes_nothing_is_an_error_that_names_the_prompt():
    with pytest.raises(ValueError, match="the learner wrote nothing after prompt prompt 0"):
        collect("ppo", learner=0)


def test_the_same_key_plans_the_same_texts():
    assert collect("ppo_plus_plus")[0] == collect("ppo_plus_plus")[0]
