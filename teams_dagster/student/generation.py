"""A student's answers to instructions: greedy, several at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from teams_dagster.core.instruction import Instruction
from teams_dagster.student.chat import encode_prompt
from teams_dagster.student.loading import Student
from teams_dagster.student.threads import threads_for


def respond(student: Student, instruction: Instruction, *, max_new_tokens: int = 128) -> str:
    """The greedy answer to `instruction`, without special tokens, cut after `max_new_tokens` tokens."""
    (tokens,) = generate(student, [encode_prompt(student.tokenizer, instruction)], max_new_tokens=max_new_tokens)
    return text_of(student, tokens)


def text_of(student: Student, tokens: Sequence[int]) -> str:
    """An answer's tokens as text, without special tokens."""
    text = student.tokenizer.decode(list(tokens), skip_special_tokens=True)
    assert isinstance(text, str)
    return text.strip()


def end_tokens(student: Student) -> list[int]:
    """What ends an answer: the token that training closes each response with, and those that the base names."""
    named = student.model.generation_config.eos_token_id
    ends = [student.tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    return sorted({end for end in ends if isinstance(end, int)})


@torch.inference_mode()
def generate(student: Student, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
    """The greedy continuation of each of `prompts`, up to and with its first end token, at most `max_new_tokens`.

    All of them are one batch, padded on the left. What the base's own configuration says of sampling does not count.
    """
    width, ends = max(map(len, prompts)), end_tokens(student)
    padding = student.tokenizer.pad_token_id
    ids = torch.tensor([[padding] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    place = student.model.device
    with threads_for(student.model):
        output = student.model.generate(
            input_ids=ids.to(place),
            attention_mask=mask.to(place),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            max_new_tokens=max_new_tokens,
            eos_token_id=ends,
            pad_token_id=padding,
        )
    return [_ended(row, ends) for row in output[:, width:].tolist()]


def _ended(tokens: list[int], ends: Sequence[int]) -> list[int]:
    """`tokens` up to and with the first end token."""
    end = next((position for position, token in enumerate(tokens) if token in ends), len(tokens) - 1)
    return tokens[: end + 1]
