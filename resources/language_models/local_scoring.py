"""Local weights held to a few replies: each is scored by its log-probability, and one is taken."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any


def reply_logprobs(model: Any, prompt: Sequence[int], replies: Sequence[Sequence[int]], padding: int) -> list[float]:
    """The log-probability of each of `replies` after `prompt`.

    Args:
        model: A causal language model of `transformers`.
        prompt: Its tokens.
        replies: The tokens of each reply, the end of text among them: "Equal" is then not a part of "Equally".
        padding: The token that fills shorter rows up.
    """
    import torch

    width, longest = len(prompt) + max(map(len, replies)), max(map(len, replies))
    rows = [[*prompt, *reply] for reply in replies]
    fill = [width - len(row) for row in rows]
    device = model.device
    tokens = torch.tensor([[padding] * n + row for n, row in zip(fill, rows, strict=True)], device=device)
    mask = torch.tensor([[0] * n + [1] * len(row) for n, row in zip(fill, rows, strict=True)], device=device)
    with torch.inference_mode():
        logits = model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            logits_to_keep=longest + 1,
            use_cache=False,
        ).logits
    # The last place predicts what follows the reply; the one before each token predicts the token.
    said = logits[:, :-1].float().log_softmax(-1).gather(-1, tokens[:, -longest:, None])[..., 0]
    return [float(row[longest - len(reply) :].sum()) for row, reply in zip(said, replies, strict=True)]


def shares(logprobs: Mapping[str, float]) -> dict[str, float]:
    """The probability of each reply, given that one of them is said."""
    import torch

    shared = torch.tensor(list(logprobs.values()), dtype=torch.float64).softmax(0).tolist()
    return dict(zip(logprobs, shared, strict=True))


def taken(probabilities: Mapping[str, float], temperature: float, seed: int) -> str:
    """The likeliest reply at temperature 0; else one drawn from the probabilities at that temperature."""
    if temperature == 0:
        return max(probabilities, key=probabilities.__getitem__)
    warm = [share ** (1 / temperature) for share in probabilities.values()]
    return random.Random(seed).choices(list(probabilities), warm)[0]
