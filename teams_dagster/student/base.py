"""The embedded student before training: a tiny Llama, pre-trained on the spot on the texts the product ships.

Its tokenizer is a small byte-level BPE, so that any text can be encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from teams_dagster.core.instruction import user_message
from teams_dagster.core.rng import generator, torch_seeded
from teams_dagster.student.chat import EMBEDDED_TEMPLATE, template
from teams_dagster.student.corpus import corpus_texts, corpus_version, dialogues, passages
from teams_dagster.student.curves import CurvePoint
from teams_dagster.student.quiet import quieten_transformers
from teams_dagster.student.threads import threads_for

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


STEPS = 280
"""Updates of the product's own base: a fixed number, never the clock."""
BLOCK = 256
"""Tokens in a row; each row starts at the start of a text."""
ROWS = 8
"""Rows in an update."""
PEAK_LEARNING_RATE = 6e-3
LABEL_SMOOTHING = 0.05
"""Keeps so small a model from being sure of itself on texts unlike its own."""
CONTEXT = 1024
REPORT_EVERY = 10
SHORTEST_SCHEDULE = 20
"""Updates below which a one-cycle learning rate has no room to warm up; shorter runs follow its beginning."""


@dataclass(frozen=True)
class BaseReport:
    """What pre-training made."""

    parameters: int
    vocabulary: int
    steps: int
    tokens: int
    """Tokens seen, repeats included."""
    corpus_version: str
    curve: tuple[CurvePoint, ...]


def build_embedded_base(
    folder: Path, *, seed: int, steps: int = STEPS, progress: Callable[[str], None] = lambda _: None
) -> BaseReport:
    """Pre-trains the embedded student for `steps` updates and saves it to `folder` as a Hugging Face model.

    Deterministic: the same seed, steps and texts give the same weights on the same kind of processor.
    """
    quieten_transformers()
    tokenizer = train_tokenizer(corpus_texts())
    texts = _documents(tokenizer)
    with torch_seeded(int(generator("student base weights", seed).integers(2**31))):
        model = LlamaForCausalLM(_architecture(tokenizer))
    with threads_for(model):
        curve = _pretrain(model, _rows(texts, seed), steps, progress)
    model.save_pretrained(folder)  # pyright: ignore[reportUnknownMemberType]
    tokenizer.save_pretrained(folder)  # pyright: ignore[reportUnknownMemberType]
    parameters = sum(p.numel() for p in model.parameters())
    return BaseReport(parameters, VOCABULARY, steps, steps * ROWS * BLOCK, corpus_version(), tuple(curve))


def _architecture(tokenizer: Any) -> LlamaConfig:
    """Llama with 3 layers of width 128: 0.8 million parameters, tied embeddings."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def _documents(tokenizer: Any) -> list[list[int]]:
    """Every shipped text as tokens: prose closed by the end token, dialogues in the chat template."""
    prose = [f"{text}{tokenizer.eos_token}" for text in passages()]
    spoken = [
        tokenizer.apply_chat_template(
            [
                {"role": "user", "content": user_message(dialogue.instruction)},
                {"role": "assistant", "content": dialogue.response},
            ],
            tokenize=False,
        )
        for dialogue in dialogues()
    ]
    return tokenizer([*prose, *spoken], add_special_tokens=False)["input_ids"]


def _rows(documents: list[list[int]], seed: int) -> Iterator[list[int]]:
    """Endless rows of BLOCK tokens: whole passes over the texts in a keyed order, the overhang of a row cut off."""
    row: list[int] = []
    epoch = 0
    while True:
        for index in generator("student base order", seed, epoch).permutation(len(documents)):
            row += documents[int(index)]
            if len(row) >= BLOCK:
                yield row[:BLOCK]
                row = []
        epoch += 1


def _pretrain(
    model: LlamaForCausalLM, rows: Iterator[list[int]], steps: int, progress: Callable[[str], None]
) -> list[CurvePoint]:
    """AdamW under a one-cycle learning rate; the loss curve."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, total_steps=max(steps, SHORTEST_SCHEDULE), pct_start=0.1, cycle_momentum=False
    )
    curve: list[CurvePoint] = []
    losses: list[float] = []
    model.train()
    for step in range(1, steps + 1):
        batch = torch.tensor([next(rows) for _ in range(ROWS)])
        logits = model(input_ids=batch).logits[:, :-1].flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, batch[:, 1:].flatten(), label_smoothing=LABEL_SMOOTHING)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % REPORT_EVERY == 0 or step == steps:
            curve.append(CurvePoint(step, sum(losses) / len(losses)))
            losses.clear()
            progress(f"pre-training the embedded student: step {step}/{steps}, loss {curve[-1].loss:.3f}")
    model.eval()
    return curve
