"""The embedded student's tokenizer: a small byte-level BPE, so that any text can be encoded."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from teams_dagster.student.chat import EMBEDDED_TEMPLATE, template

END, PAD, USER, ASSISTANT = "<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"
VOCABULARY = 1536
"""Tokens, the 256 bytes and the 4 special ones included; a multiple of 64, the block size of NF4."""


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """A tokenizer of exactly `vocabulary` tokens learnt from `texts`, with the embedded chat template.

    Deterministic. Raises ValueError when `texts` hold too few distinct pairs for `vocabulary` tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learnt = tokenizer.get_vocab_size()
    if learnt != vocabulary:
        raise ValueError(
            f"the texts yield only {learnt} tokens; ask for a vocabulary of at most that, not {vocabulary}"
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=template(EMBEDDED_TEMPLATE),
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )
