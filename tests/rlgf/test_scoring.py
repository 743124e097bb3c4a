"""What a model says of the tokens taken is what transformers says, whatever the padding and the chunks."""

import pytest
import torch

from teams_dagster.rlgf import scoring
from teams_dagster.rlgf.scoring import check_head, token_scores
from teams_dagster.rlgf.sequences import batch_of
from tests.support.small_llama import END, small_llama, text

TEXTS = [text("3 4 5 0", prompt="1 2"), text("6 7", prompt="8"), text("9", prompt="2 3 4 5")]


def plain(model, written, temperature=1.0):
    """Log-probabilities and entropies of one text, from the model's own logits."""
    ids = torch.tensor([[*written.prompt, *written.tokens]])
    rows = torch.log_softmax(model(ids).logits[0, len(written.prompt) - 1 : -1] / temperature, dim=-1)
    return rows[torch.arange(len(written.tokens)), list(written.tokens)], -(rows.exp() * rows).sum(-1)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_scores_are_those_of_the_models_own_logits(temperature):
    model = small_llama()
    found = token_scores(model, batch_of(TEXTS, END), temperature=temperature)
    for row, written in enumerate(TEXTS):
        scores, entropies = plain(model, written, temperature)
        count = len(written.tokens)
        torch.testing.assert_close(found.log_probabilities[row, :count], scores, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.entropies[row, :count], entropies, atol=1e-5, rtol=0)


def test_what_no_token_stands_at_scores_nothing():
    batch = batch_of(TEXTS, END)
    found = token_scores(small_llama(), batch)
    assert not found.log_probabilities[~batch.valid].any()
    assert not found.entropies[~batch.valid].any()


def test_chunks_change_neither_scores_nor_gradients(monkeypatch):
    def gradients():
        model = small_llama()
        scores = token_scores(model, batch_of(TEXTS, END)).log_probabilities
        scores.sum().backward()
        return scores.detach(), [weight.grad for weight in model.parameters()]

    whole, whole_gradients = gradients()
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", 1)
    parts, part_gradients = gradients()
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)
    for part, other in zip(part_gradients, whole_gradients, strict=True):
        torch.testing.assert_close(part, other, atol=1e-5, rtol=1e-4)


def test_logits_are_never_all_in_memory_at_once(monkeypatch):
    seen = []
    model = small_llama()
    model.lm_head.register_forward_hook(lambda _, __, logits: seen.append(len(logits)))
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", 2 * 16)
    token_scores(model, batch_of(TEXTS, END))
    assert seen == [2, 2, 2, 1]


@pytest.mark.parametrize(("at_once", "times"), [(16 * 7, 1), (16 * 4, 4)], ids=["one chunk", "two chunks"])
def test_logits_that_were_all_computed_at_once_are_not_computed_again(monkeypatch, at_once, times):
    seen = []
    model = small_llama()
    model.lm_head.register_forward_hook(lambda _, __, logits: seen.append(len(logits)))
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", at_once)
    token_scores(model, batch_of(TEXTS, END)).log_probabilities.sum().backward()
    assert len(seen) == times


def test_entropies_that_nobody_learns_are_the_same_without_a_gradient():
    batch, model = batch_of(TEXTS, END), small_llama()
    learnt, watched = (token_scores(model, batch, learn_entropies=learn) for learn in (True, False))
    assert torch.equal(watched.entropies, learnt.entropies)
    assert (watched.log_probabilities.requires_grad, watched.entropies.requires_grad) == (True, False)


def test_a_model_that_changes_its_logits_afterwards_is_refused():
    model = small_llama()
    plain_forward = model.forward

    def scaled(*args, **options):
        output = plain_forward(*args, **options)
        assert output.logits is not None
        output.logits = output.logits / 2
        return output

    model.forward = scaled
    with pytest.raises(ValueError, match="LlamaForCausalLM: its logits differ"):
        check_head(model)
