"""Several names after a prompt: each exactly as likely as it is alone."""

import pytest
import torch

from teams_dagster.policy.reader.names import NO_TOKEN, Names, check_names
from tests.support.small_llama import small_llama

NAMES = ((1, 2, 3), (1, 4), (5,))
PROMPT = (7, 8, 9, 10)


def alone(model, prompt, name):
    """log p(name | prompt), by one plain forward pass."""
    logits = model(input_ids=torch.tensor([[*prompt, *name]])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits.double(), -1).gather(1, torch.tensor(name).unsqueeze(1)).sum().item()


@torch.no_grad()
def test_a_name_is_as_likely_beside_others_as_alone():
    model = small_llama()
    found = Names(NAMES).scores_of_one(model, PROMPT)
    assert found == pytest.approx([alone(model, PROMPT, name) for name in NAMES], abs=1e-5)


@torch.no_grad()
def test_a_prompt_scores_alike_beside_longer_ones():
    model, names = small_llama(), Names(NAMES)
    batch = torch.tensor([[NO_TOKEN, NO_TOKEN, *PROMPT], [3, 4, *PROMPT]])
    assert names.scores(model, batch)[0].numpy() == pytest.approx(names.scores_of_one(model, PROMPT), abs=1e-5)


@torch.no_grad()
def test_columns_that_no_prompt_fills_change_nothing():
    model, names = small_llama(), Names(NAMES)
    filled = torch.tensor([[NO_TOKEN] * 5 + list(PROMPT)])
    assert torch.equal(names.scores(model, filled), names.scores(model, torch.tensor([PROMPT])))


@torch.no_grad()
def test_names_of_one_token_need_nothing_behind_the_prompt():
    model = small_llama()
    found = Names([(1,), (2,)]).scores_of_one(model, PROMPT)
    assert found == pytest.approx([alone(model, PROMPT, (1,)), alone(model, PROMPT, (2,))], abs=1e-5)


@pytest.mark.parametrize("names", [[(1, 2), (1,)], [(1,), (1,)]])
def test_a_name_that_begins_another_is_refused(names):
    with pytest.raises(ValueError, match=r"a name of tokens \[1\] begins another: choose a base"):
        Names(names)


def test_a_model_that_looks_elsewhere_than_its_mask_says_is_refused(monkeypatch):
    model = small_llama()
    plain = model.forward
    monkeypatch.setattr(model, "forward", lambda attention_mask=None, **inputs: plain(**inputs))
    with pytest.raises(ValueError, match="LlamaForCausalLM: a name's log-probability is"):
        check_names(model, Names(NAMES), PROMPT)
