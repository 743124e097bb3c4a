"""The student and the examples that both sides train on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.base import train_tokenizer
from teams_dagster.student.corpus import corpus_texts

SHAPES = {
    "tiny": (64, 128, 2, 4),
    "small": (256, 768, 6, 8),
    "7b": (4096, 11008, 32, 32),
}
"""Width, width of the feed-forward layers, layers, heads. `7b` is for GPUs: random weights do for speed."""


def make_student(folder: Path, shape: str) -> int:
    """Writes a Llama of random weights with the product's tokenizer to `folder`; returns its parameters."""
    tokenizer: Any = train_tokenizer(corpus_texts())
    width, inner, layers, heads = SHAPES[shape]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        dtype="bfloat16" if torch.cuda.is_available() else "float32",
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def make_examples(count: int) -> list[Example]:
    """Examples of ten to a hundred and fifty words, drawn from the shipped texts."""
    words = " ".join(corpus_texts()).split()
    draw = random.Random(0)

    def some(least: int, most: int) -> str:
        begin = draw.randrange(len(words) - most)
        return " ".join(words[begin : begin + draw.randint(least, most)])

    return [Example(f"sample-{i}", f"seed-{i}", Instruction(some(5, 50)), some(5, 100)) for i in range(count)]
