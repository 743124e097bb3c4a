"""How likely a causal language model is to go on with each of several names: exact, in one pass for all of them.

The names stand side by side behind the prompt. Each sees the prompt and itself, and its places count from the prompt's
end, as if it stood there alone; so the prompt is computed once for all names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

NO_TOKEN = -1
"""Fills a prompt on the left where it is shorter than others."""


class Names:
    """Names as tokens, and how they lie behind a prompt."""

    def __init__(self, names: Sequence[Sequence[int]]) -> None:
        """`names` are the tokens of each, at least one. Raises ValueError where one begins with the whole of another.

        Such a pair would not be two outcomes: the shorter is part of the longer.
        """
        for name in names:
            if sum(tuple(other[: len(name)]) == tuple(name) for other in names) > 1:
                raise ValueError(
                    f"a name of tokens {list(name)} begins another: choose a base whose tokenizer tells them apart"
                )
        self.tokens = tuple(tuple(name) for name in names)
        self.count = len(names)
        behind, offsets, owners = list[int](), list[int](), list[int]()
        sources, targets, named = list[int](), list[int](), list[int]()
        for number, name in enumerate(names):
            before = 0  # of what is computed: the prompt's last place, then those behind it
            for place, token in enumerate(name):
                sources.append(before)
                targets.append(token)
                named.append(number)
                if place + 1 < len(name):
                    behind.append(token)
                    offsets.append(place)
                    owners.append(number)
                    before = len(behind)
        self.behind = torch.tensor(behind, dtype=torch.long)
        """Tokens that are put behind the prompt: of each name all but the last."""
        self._offsets = torch.tensor(offsets, dtype=torch.long)
        same = torch.tensor(owners).unsqueeze(0) == torch.tensor(owners).unsqueeze(1)
        self._visible = same & torch.ones_like(same).tril()
        self._sources, self._targets = torch.tensor(sources), torch.tensor(targets)
        self._named = torch.tensor(named)

    def scores(self, model: Any, prompts: torch.Tensor) -> torch.Tensor:
        """log p(name | prompt) of each: (prompts, names), float64, on the CPU; gradients where enabled.

        `prompts` (prompts, tokens), long, are padded on the left with NO_TOKEN.
        """
        prompts = prompts[:, int((prompts != NO_TOKEN).any(0).long().argmax()) :]
        place, count = model.device, len(self.behind)
        ids = torch.cat([prompts.clamp(min=0), self.behind.expand(len(prompts), -1)], 1)
        logits = model(
            input_ids=ids.to(place),
            attention_mask=self._mask(prompts).to(place),
            position_ids=self._positions(prompts).to(place),
            logits_to_keep=count + 1,
            use_cache=False,
        ).logits
        everything = torch.log_softmax(logits.float(), dim=-1)
        taken = everything[:, self._sources.to(place), self._targets.to(place)].double().cpu()
        return torch.zeros(len(prompts), self.count, dtype=torch.float64).index_add(1, self._named, taken)

    @torch.no_grad()
    def scores_of_one(self, model: Any, prompt: Sequence[int]) -> np.ndarray:
        """The same after one prompt: shape (names,)."""
        return self.scores(model, torch.tensor([prompt]))[0].numpy()

    def _positions(self, prompts: torch.Tensor) -> torch.Tensor:
        there = (prompts != NO_TOKEN).long()
        length = there.sum(1, keepdim=True)
        return torch.cat([(there.cumsum(1) - 1).clamp(min=0), length + self._offsets], 1)

    def _mask(self, prompts: torch.Tensor) -> torch.Tensor:
        """(prompts, 1, all, all), float32, added to what attention weighs: 0 where a place sees another."""
        rows, width, count = *prompts.shape, len(self.behind)
        there = (prompts != NO_TOKEN).unsqueeze(1)
        sees = torch.zeros(rows, width + count, width + count, dtype=torch.bool)
        sees[:, :width, :width] = there & torch.ones(width, width, dtype=torch.bool).tril()
        sees[:, width:, :width] = there
        sees[:, width:, width:] = self._visible
        mask = torch.zeros(sees.shape).masked_fill_(~sees, torch.finfo(torch.float32).min)
        return mask.unsqueeze(1)


TOLERANCE = 1e-3
"""By how much a name's score may differ from that of the name alone: float noise."""


@torch.no_grad()
def check_names(model: Any, names: Names, prompt: Sequence[int]) -> None:
    """Raises ValueError where `model` does not look only where its attention mask says."""
    together = names.scores_of_one(model, prompt)
    for name, found in zip(names.tokens, together, strict=True):
        logits = model(input_ids=torch.tensor([[*prompt, *name]], device=model.device), use_cache=False).logits[0]
        spoken = torch.log_softmax(logits[len(prompt) - 1 : -1].float(), dim=-1).cpu()
        alone = float(spoken.gather(1, torch.tensor(name).unsqueeze(1)).sum())
        if not abs(alone - found) <= TOLERANCE:
            raise ValueError(
                f"{type(model).__name__}: a name's log-probability is {alone:.4g} alone and {found:.4g} beside others,"
                " so the model does not look only where its attention mask says: choose a `base` with plain attention"
            )
