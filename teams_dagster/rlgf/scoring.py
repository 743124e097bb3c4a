"""What a causal language model says of the tokens taken: log-probabilities and entropies, a chunk of tokens at a time.

Logits of all tokens of a batch at once would be its largest tensor by far (tokens x vocabulary). The output layer is
applied to a few tokens at a time, and where that is more than once it is computed again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]

from teams_dagster.rlgf.sequences import TextBatch

LOGITS_AT_ONCE = 2**23
"""Logits computed at once (32 MB as float32): tokens of a chunk follow from it and from the vocabulary."""
TOLERANCE = 1e-3
"""By how much the output layer's product may differ from the model's own logits: float noise."""


_Chunk = Callable[[Any, torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, ...]]
"""Of an output layer, states, the tokens taken after them and a temperature: numbers of each token."""


class TokenScores(NamedTuple):
    """Of each token taken; both of shape (texts, tokens), 0 where there is none."""

    log_probabilities: torch.Tensor
    """log pi(token | all before it)."""
    entropies: torch.Tensor
    """Of the distribution that the token was drawn from, in nats."""


def hidden_states(model: Any, batch: TextBatch) -> torch.Tensor:
    """What the last layer says before each token of the texts: (texts, tokens, features), where the model is."""
    trunk, place = getattr(model, model.base_model_prefix), model.device
    output = trunk(
        input_ids=batch.ids[:, :-1].to(place),
        attention_mask=batch.attended[:, :-1].long().to(place),
        position_ids=batch.positions[:, :-1].to(place),
        use_cache=False,
    )
    return output.last_hidden_state[:, batch.width - 1 :]


def final_states(model: Any, batch: TextBatch) -> torch.Tensor:
    """What the last layer says after the last token of each text: (texts, features), where the model is."""
    trunk, place = getattr(model, model.base_model_prefix), model.device
    output = trunk(
        input_ids=batch.ids.to(place),
        attention_mask=batch.attended.long().to(place),
        position_ids=batch.positions.to(place),
        use_cache=False,
    )
    last = (batch.width + batch.valid.sum(1) - 1).to(place)
    return output.last_hidden_state[torch.arange(len(batch), device=place), last]


def token_scores(
    model: Any, batch: TextBatch, *, temperature: float = 1.0, learn_entropies: bool = True
) -> TokenScores:
    """Scores of the tokens of `batch` by `model` (a transformers causal language model), gradients where enabled.

    They are where `batch` is. Without `learn_entropies` those have no gradient, and nothing is kept for it.
    """
    compute = _with_entropies if learn_entropies else _watching_entropies
    scores, entropies = _in_chunks(compute, model, batch, temperature)
    return TokenScores(scores, entropies)


def token_log_probabilities(model: Any, batch: TextBatch, *, temperature: float = 1.0) -> torch.Tensor:
    """The same without the entropies, which take as long as the softmax over a large vocabulary: (texts, tokens)."""
    [scores] = _in_chunks(_of_the_taken, model, batch, temperature)
    return scores


def _in_chunks(compute: _Chunk, model: Any, batch: TextBatch, temperature: float) -> list[torch.Tensor]:
    """What `compute` says of each token, by (texts, tokens), 0 where there is none."""
    valid, place, head = batch.valid, model.device, model.get_output_embeddings()
    states, tokens = hidden_states(model, batch)[valid.to(place)], batch.tokens[valid].to(place)
    size = max(1, LOGITS_AT_ONCE // head.weight.shape[0])
    chunks = list(zip(torch.split(states, size), torch.split(tokens, size), strict=True))
    parts: list[tuple[torch.Tensor, ...]]
    if len(chunks) == 1:
        parts = [compute(head, states, tokens, temperature)]
    else:
        parts = [checkpoint(compute, head, *chunk, temperature, use_reentrant=False) for chunk in chunks]
    empty = torch.zeros(valid.shape, dtype=torch.float32, device=valid.device)
    return [empty.masked_scatter(valid, torch.cat(part).to(valid.device)) for part in zip(*parts, strict=True)]


def _of_the_taken(head: Any, states: torch.Tensor, tokens: torch.Tensor, temperature: float) -> tuple[torch.Tensor]:
    everything = torch.log_softmax(head(states).float() / temperature, dim=-1)
    return (everything.gather(-1, tokens.unsqueeze(-1)).squeeze(-1),)


def _with_entropies(
    head: Any, states: torch.Tensor, tokens: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    everything = torch.log_softmax(head(states).float() / temperature, dim=-1)
    taken = everything.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return taken, -(everything.exp() * everything).sum(-1)


def _watching_entropies(
    head: Any, states: torch.Tensor, tokens: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    everything = torch.log_softmax(head(states).float() / temperature, dim=-1)
    taken = everything.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    with torch.no_grad():
        return taken, -(everything.exp() * everything).sum(-1)


@torch.no_grad()
def check_head(model: Any) -> None:
    """Raises ValueError where `model`'s logits are not its output layer's product (some are capped or scaled)."""
    ids = torch.arange(3, device=model.device).unsqueeze(0)
    trunk, head = getattr(model, model.base_model_prefix), model.get_output_embeddings()
    gap = (head(trunk(input_ids=ids, use_cache=False).last_hidden_state) - model(input_ids=ids).logits).abs().max()
    if float(gap) > TOLERANCE:
        raise ValueError(
            f"{type(model).__name__}: its logits differ by {float(gap):.3g} from its output layer's product, so they"
            " are capped or scaled: token-level training knows only models whose logits are that product"
        )
