"""Tiny models with random weights in the layouts of well-known families, with tokenizers and templates like theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from teams_dagster.student.base import train_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %}{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
TURNS = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else 'user' }}\n"
    "{{ m['content'] }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SIZE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
LAYOUTS: dict[str, tuple[Callable[..., PreTrainedConfig], str | None, str | None, str]] = {
    "llama": (LlamaConfig, None, "<s>", "</s>"),  # as a base is published: no template, a first token of its own
    "qwen2": (Qwen2Config, CHATML, None, "<|im_end|>"),
    "qwen3": (Qwen3Config, CHATML, None, "<|im_end|>"),
    "mistral": (MistralConfig, INST, "<s>", "</s>"),
    "gemma2": (Gemma2Config, TURNS, "<bos>", "<end_of_turn>"),
}


def tiny_layout(name: str, folder: Path) -> Path:
    """Writes the model of layout `name` to `folder` as a Hugging Face model."""
    made, template, begin, end = LAYOUTS[name]
    tokenizer: Any = train_tokenizer(["the colour of a box, a few words to learn"], vocabulary=280)
    tokenizer.chat_template = template
    tokenizer.add_special_tokens({"eos_token": end} | ({"bos_token": begin} if begin else {}))
    if begin:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.bos_token_id)]
        )
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = made(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **ends, **SIZE)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
