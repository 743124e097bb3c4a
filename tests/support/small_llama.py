"""A language model that knows nothing, of a few thousand weights, and texts for it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from teams_dagster.policy.algorithms.batch import Who
from teams_dagster.rlgf.sequences import EndReason, Text

VOCABULARY, END = 16, 0


def small_llama(seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    """The same weights for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings: dict[str, Any] = {
            "vocab_size": VOCABULARY,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "initializer_range": 0.3,
            "bos_token_id": None,
            "eos_token_id": END,
            "pad_token_id": END,
            "tie_word_embeddings": False,
        }
        return LlamaForCausalLM(LlamaConfig(**(settings | changes))).eval()


def text(tokens: str, *, prompt: str = "1", by: str = "", reward: float = 0.0) -> Text:
    """Tokens as numbers between spaces; `by` has a letter a token, `l` or `g`, and is all the learner's if empty."""
    numbers = tuple(map(int, tokens.split()))
    writers = tuple({"l": Who.LEARNER, "g": Who.GUIDE}[letter] for letter in by or "l" * len(numbers))
    end = EndReason.ENDED if numbers[-1] == END else EndReason.LENGTH
    return Text(prompt, tuple(map(int, prompt.split())), numbers, writers, end, reward)
