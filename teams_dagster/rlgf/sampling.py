"""Drawing tokens from a causal language model, with uniforms that belong to a text and a place in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from teams_dagster.core.rng import generator
from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.rlgf.config import DecodingConfig


@dataclass(frozen=True)
class Begun:
    """A text to go on with."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    """What is written of it."""
    room: int
    """Tokens that may follow at most; at least 1."""
    key: Key
    """Names its random stream: the same draws whatever else is in the batch."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that mean something to a sampler."""

    ends: frozenset[int]
    """Each ends a text."""
    padding: int


@torch.no_grad()
def sample(
    model: Any, begun: Sequence[Begun], vocabulary: Vocabulary, decoding: DecodingConfig, *, at_once: int
) -> list[tuple[int, ...]]:
    """What `model` writes after each of `begun`, up to and with its first end token, at most `room` tokens.

    Texts are computed `at_once`, in their order.
    """
    written: list[tuple[int, ...]] = []
    for first in range(0, len(begun), at_once):
        written += _sample_together(model, begun[first : first + at_once], vocabulary, decoding)
    return written


def _sample_together(
    model: Any, begun: Sequence[Begun], vocabulary: Vocabulary, decoding: DecodingConfig
) -> list[tuple[int, ...]]:
    place, room = model.device, max(text.room for text in begun)
    every = [(*text.prompt, *text.tokens) for text in begun]
    contexts = list(dict.fromkeys(every))
    rows = torch.tensor([contexts.index(context) for context in every], device=place)
    width = max(map(len, contexts))
    ids = torch.tensor([[vocabulary.padding] * (width - len(c)) + list(c) for c in contexts], device=place)
    attended = torch.tensor([[0] * (width - len(c)) + [1] * len(c) for c in contexts], device=place)
    positions = (attended.cumsum(1) - 1).clamp(min=0)
    uniforms = torch.stack([torch.as_tensor(generator(*text.key).random(room)) for text in begun]).to(place)
    written: list[list[int]] = [[] for _ in begun]
    cache = None
    for step in range(room):
        output = model(
            input_ids=ids,
            attention_mask=attended,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache, logits = output.past_key_values, output.logits[:, -1].float()
        if step == 0 and len(contexts) < len(begun):  # what several texts begin with was read once
            cache.reorder_cache(rows)
            logits, attended, positions = logits[rows], attended[rows], positions[rows]
        drawn = draw(logits, uniforms[:, step], decoding)
        open_rows = False
        values = cast(list[int], drawn.tolist())  # pyright: ignore[reportUnknownMemberType]
        for text, tokens, token in zip(begun, written, values, strict=True):
            if len(tokens) == step and step < text.room and not (tokens and tokens[-1] in vocabulary.ends):
                tokens.append(token)
                open_rows |= step + 1 < text.room and token not in vocabulary.ends
        if not open_rows:
            break
        ids, positions = drawn.unsqueeze(1), positions[:, -1:] + 1
        attended = torch.cat([attended, torch.ones_like(attended[:, :1])], dim=1)
    return [tuple(tokens) for tokens in written]


def draw(logits: torch.Tensor, uniforms: torch.Tensor, decoding: DecodingConfig) -> torch.Tensor:
    """One token a row of `logits` (rows, vocabulary): the inverse of its distribution at `uniforms` (rows,)."""
    probabilities = torch.softmax(allowed(logits / decoding.temperature, decoding), dim=-1)
    sums = probabilities.cumsum(-1)
    token = torch.searchsorted(sums, (uniforms.float() * sums[:, -1]).unsqueeze(-1), right=True).squeeze(-1)
    last = logits.shape[-1] - 1 - (probabilities > 0).flip(-1).float().argmax(-1)
    return torch.minimum(token, last)  # a float32 product may reach the whole sum


def allowed(logits: torch.Tensor, decoding: DecodingConfig) -> torch.Tensor:
    """`logits` with those at minus infinity that `top_k` and `top_p` leave out, in this order."""
    if decoding.top_k is not None and decoding.top_k < logits.shape[-1]:
        least = logits.topk(decoding.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if decoding.top_p is not None and decoding.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = torch.softmax(ordered, dim=-1)
        before = probabilities.cumsum(-1) - probabilities
        outside = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= decoding.top_p)
        logits = logits.masked_fill(outside, -torch.inf)
    return logits
