"""The chain of `chain_world` as texts: a token is a choice, a text's reward the sum of what its choices pay.

One more token ends a text, which pays nothing more; it is the prompt too. The optimum, any policy's value and the
greedy policy on a guide's Q are those of the chain, since ending early is never better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from teams_dagster.core.rng import generator
from teams_dagster.policy.algorithms.batch import Who
from teams_dagster.rlgf.algorithms import token_algorithm
from teams_dagster.rlgf.collecting import Prompt, Written, rewarded, write_texts
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.guides import LocalWriter
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.sampling import Begun, Vocabulary
from teams_dagster.rlgf.sequences import EndReason, Text, batch_of
from teams_dagster.rlgf.update import scored
from tests.support import chain_world as chain

END, TOKENS = 3, 4
PREFIXES = sum(chain.CHOICES**step for step in range(chain.HORIZON + 1))
"""Texts and their beginnings, ends apart."""
SEEN = chain.FEATURES + PREFIXES
VOCABULARY = Vocabulary(frozenset({END}), padding=END)
PROMPT = Prompt("bottom", (END,))


class TableModel(nn.Module):
    """A causal language model of tables: before each token it sees the step and place, and all tokens so far, one-hot.

    It has the parts that a transformers model is used by, and takes a thousandth of one's time.
    """

    base_model_prefix = "trunk"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = _Places()
        self.head = nn.Linear(SEEN, TOKENS, bias=False)
        nn.init.zeros_(self.head.weight)

    @property
    def config(self) -> Any:
        return SimpleNamespace(get_text_config=lambda: SimpleNamespace(hidden_size=SEEN))

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def get_output_embeddings(self) -> nn.Linear:
        return self.head

    def forward(
        self, input_ids: torch.Tensor, past_key_values: Any = None, attention_mask: Any = None, **_: Any
    ) -> Any:
        ids = input_ids if past_key_values is None else torch.cat([past_key_values.ids, input_ids], dim=1)
        logits = self.head(self.trunk(ids, attention_mask).last_hidden_state)
        return SimpleNamespace(logits=logits, past_key_values=_Read(ids))


@dataclass
class _Read:
    """What was read so far, as a cache of transformers is asked for it."""

    ids: torch.Tensor

    def reorder_cache(self, rows: torch.Tensor) -> None:
        self.ids = self.ids[rows]


class _Places(nn.Module):
    """Where the choices led, and which they were, before each next one; what is not attended to is no step."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> Any:
        attended = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        steps = (attended.cumsum(1) - 1).clamp(min=0)
        moves = torch.from_numpy(np.vstack([chain.NEXT.T, np.tile(np.arange(chain.PLACES), (TOKENS - 3, 1))]))
        place, past, states, pasts = *torch.zeros(2, len(input_ids), dtype=torch.long), [], []
        for token, step in zip(input_ids.T, steps.T, strict=True):
            place = moves[token, place]
            past = (past * chain.CHOICES + 1 + token.clamp(max=chain.CHOICES - 1)) * (step > 0)
            states.append(step.clamp(max=chain.HORIZON - 1) * chain.PLACES + place)
            pasts.append(past % PREFIXES)
        parts = ((states, chain.FEATURES), (pasts, PREFIXES))
        one_hot = [torch.nn.functional.one_hot(torch.stack(part, dim=1), size) for part, size in parts]
        return SimpleNamespace(last_hidden_state=torch.cat(one_hot, dim=-1).float())


def place_after(tokens: Sequence[int]) -> int:
    """Where the choices lead from the bottom."""
    place = 0
    for token in tokens:
        place = chain.moves(place, token)
    return place


def reward_of(tokens: Sequence[int]) -> float:
    """What the choices of a text pay, up to a token that ends it."""
    place, total = 0, 0.0
    for token in tokens:
        if token >= chain.CHOICES:
            return total
        total += chain.reward(place, token)
        place = chain.moves(place, token)
    return total


class TableGuide:
    """Chooses as a table of the chain says."""

    def __init__(self, table: chain.Table) -> None:
        self.table = table

    def write(self, begun: Sequence[Begun]) -> list[tuple[int, ...]]:
        return [self._one(text) for text in begun]

    def _one(self, text: Begun) -> tuple[int, ...]:
        tokens, uniforms = list(text.tokens), generator(*text.key).random(text.room)
        for uniform in uniforms:
            here = self.table[len(tokens), place_after(tokens)]
            tokens.append(int(chain.drawn(here[None], uniform[None])[0]))
        return tuple(tokens[len(text.tokens) :])


def written(learner: TokenLearner, algorithm: Any, guide: Any, iteration: int) -> Written:
    """One iteration's texts with their rewards."""
    config = learner.config
    writers = {
        Who.LEARNER: LocalWriter(lambda: learner.models.using(POLICY), VOCABULARY, config.decoding, config.at_once),
        Who.GUIDE: guide,
    }
    texts = write_texts(
        algorithm,
        writers,
        [PROMPT] * config.texts,
        iteration=iteration,
        limit=config.max_new_tokens,
        ends=VOCABULARY.ends,
        key=(config.root_seed, "train"),
    )
    return rewarded(texts, [reward_of(text.tokens) for text in texts.texts])


def trained(config: RLGFConfig, guide: chain.Table, target: Sequence[int] = ()) -> TokenLearner:
    """The learner after all its iterations; `target` are the tokens of a reference, where one is learnt."""
    learner, algorithm = TokenLearner(TableModel(), config), token_algorithm(config)
    writers = (Who.GUIDE,) * len(target)
    reference = Text(PROMPT.prompt_id, PROMPT.tokens, (*target,), writers, EndReason.LENGTH) if target else None
    for iteration in range(config.iterations):
        texts = written(learner, algorithm, TableGuide(guide), iteration).texts
        learner.begin(iteration)
        references = batch_of([reference] * config.texts, END) if reference else None
        algorithm.update(learner, scored(learner, batch_of(texts, END), references), iteration)
    return learner


def value_of(learner: TokenLearner) -> float:
    """The exact expected reward of the policy: the sum over all texts of probability times reward."""
    with torch.no_grad(), learner.models.using(POLICY) as model:
        total, open_texts = 0.0, {(): 1.0}
        for step in range(chain.HORIZON):
            rows = torch.tensor([[END, *tokens] for tokens in open_texts])
            chances = torch.softmax(model(rows).logits[:, -1].double(), dim=-1).numpy()
            grown: dict[tuple[int, ...], float] = {}
            for (tokens, weight), row in zip(open_texts.items(), chances, strict=True):
                for token, chance in enumerate(row):
                    text = (*tokens, token)
                    if token >= chain.CHOICES or step == chain.HORIZON - 1:
                        total += weight * chance * reward_of(text)
                    else:
                        grown[text] = weight * chance
            open_texts = grown
    return total


def chosen(learner: TokenLearner, tokens: Sequence[int] = ()) -> np.ndarray:
    """The policy's probabilities of each token after `tokens`."""
    with torch.no_grad(), learner.models.using(POLICY) as model:
        return torch.softmax(model(torch.tensor([[END, *tokens]])).logits[0, -1], dim=-1).numpy()
