"""A discriminator's doubt as a reward."""

import pytest
import torch

from teams_dagster.rlgf.gail import at_the_end, reward_of
from teams_dagster.rlgf.sequences import batch_of
from teams_dagster.rlgf.token_algorithm_config import GAILConfig
from tests.support.small_llama import END, text

LOGITS = torch.tensor([-3.0, 0.0, 2.0], dtype=torch.float64)


def test_the_log_odds_are_the_discriminators_own():
    chances = LOGITS.sigmoid()
    found = reward_of(LOGITS, GAILConfig(reward="log_odds"))
    torch.testing.assert_close(found, chances.log() - (1 - chances).log())


def test_surprise_is_minus_the_log_of_what_is_left_for_the_learner():
    found = reward_of(LOGITS, GAILConfig(reward="surprise"))
    torch.testing.assert_close(found, -(1 - LOGITS.sigmoid()).log())


def test_a_reward_stands_at_the_last_token_of_its_text():
    batch = batch_of([text("3 4 5"), text("6"), text("7 0")], END)
    assert at_the_end(batch, LOGITS).tolist() == [[0, 0, -3.0], [0, 0, 0], [0, 2.0, 0]]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_both_must_write(share):
    with pytest.raises(ValueError, match="guide_share"):
        GAILConfig(guide_share=share)
