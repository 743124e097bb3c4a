"""Tokens are drawn from what the model says, with draws that belong to a text."""

from typing import Any

import pytest
import torch

from teams_dagster.rlgf.config import DecodingConfig
from teams_dagster.rlgf.sampling import Begun, Vocabulary, allowed, draw, sample
from tests.support.small_llama import END, small_llama

TOKENS = Vocabulary(frozenset({END}), padding=END)
BEGUN = [Begun((1, 2), (), 6, ("a",)), Begun((3,), (4, 5), 4, ("b",)), Begun((6, 7, 8, 9), (), 1, ("c",))]


def drawn(begun, decoding=None, at_once=8):
    return sample(small_llama(), begun, TOKENS, decoding or DecodingConfig(), at_once=at_once)


def test_a_texts_draws_do_not_depend_on_the_others_of_its_batch():
    assert drawn(BEGUN) == [drawn([text])[0] for text in BEGUN] == drawn(BEGUN, at_once=2)


def test_what_several_texts_begin_with_is_read_once():
    begun = [Begun((1, 2, 3), (), 5, ("same", key)) for key in range(4)] + [Begun((6, 7), (), 5, ("other",))]
    model, shapes = small_llama(), []
    model.model.embed_tokens.register_forward_hook(lambda _, given, __: shapes.append(tuple(given[0].shape)))
    found = sample(model, begun, TOKENS, DecodingConfig(), at_once=8)
    assert shapes[:2] == [(2, 3), (5, 1)]
    assert found == [drawn([text])[0] for text in begun]


def test_no_text_is_longer_than_its_room_or_goes_on_after_its_end():
    for key in range(30):
        begun = [Begun((1,), (), 1 + key % 5, ("room", key)), Begun((2,), (3,), 6, ("other", key))]
        for text, tokens in zip(begun, drawn(begun), strict=True):
            assert 1 <= len(tokens) <= text.room
            assert END not in tokens[:-1]
            assert len(tokens) == text.room or tokens[-1] == END


def test_the_most_probable_tokens_alone_are_transformers_greedy_text():
    model = small_llama(3)
    found = sample(model, [Begun((1, 2, 3), (), 8, ("greedy",))], TOKENS, DecodingConfig(top_k=1), at_once=1)
    peer: Any = model  # as transformers declares `generate`, no model of its own has it
    expected = peer.generate(
        torch.tensor([[1, 2, 3]]), attention_mask=torch.ones(1, 3), do_sample=False, max_new_tokens=8
    )
    assert list(found[0]) == expected[0, 3:].tolist()


def test_shares_of_drawn_tokens_are_their_probabilities():
    logits = torch.tensor([0.0, 1.0, 2.0, -torch.inf])
    uniforms = (torch.arange(10_000) + 0.5) / 10_000
    tokens = draw(logits.expand(10_000, -1), uniforms, DecodingConfig())
    shares = torch.bincount(tokens, minlength=4) / 10_000
    torch.testing.assert_close(shares, torch.softmax(logits, 0), atol=2e-4, rtol=0)


def test_the_largest_uniform_still_draws_a_token_that_is_possible():
    logits = torch.tensor([[0.0, 0.1, -torch.inf, -torch.inf]])
    assert draw(logits, torch.tensor([1 - 2.0**-53], dtype=torch.float64), DecodingConfig()).tolist() == [1]


@pytest.mark.parametrize(
    ("decoding", "kept"),
    [
        ({"top_k": 2}, [0, 1]),
        ({"top_p": 0.7}, [0, 1]),
        ({"top_p": 0.4}, [0]),
        ({"top_k": 3, "top_p": 1.0}, [0, 1, 2]),
        ({}, [0, 1, 2, 3]),
    ],
)
def test_top_k_and_top_p_leave_out_the_least_probable(decoding, kept):
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    found = allowed(logits, DecodingConfig(**decoding))
    assert found.isfinite().squeeze().nonzero().squeeze(1).tolist() == kept
