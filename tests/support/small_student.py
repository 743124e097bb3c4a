"""A student that is trained and asked in no time, and learns nothing worth having."""

from __future__ import annotations

from pathlib import Path

from teams_dagster.student.base import CONTEXT, train_tokenizer
from teams_dagster.student.corpus import corpus_texts
from tests.support.small_llama import small_llama


def write_student(folder: Path) -> None:
    """Write a few thousand random weights to `folder`, with the embedded student's tokens and chat template."""
    tokenizer = train_tokenizer(corpus_texts())
    model = small_llama(
        vocab_size=len(tokenizer),
        max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
