"""A base without weights: tokenizer, chat template and configurations, made in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import GenerationConfig, LlamaConfig

from teams_dagster.student.base import train_tokenizer


def bare_base(folder: Path) -> Path:
    """Writes it to `folder` as Hugging Face lays a model out."""
    tokenizer: Any = train_tokenizer(["a few words to learn the bytes from"], vocabulary=270)
    tokenizer.save_pretrained(folder)
    LlamaConfig(vocab_size=270, eos_token_id=tokenizer.eos_token_id, bos_token_id=None).save_pretrained(folder)
    GenerationConfig(eos_token_id=tokenizer.eos_token_id).save_pretrained(folder)
    return folder
