"""Students answer held-out instructions, as they were trained to: the same prompt, greedy, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

import torch

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.rng import uniform
from teams_dagster.core.type_guards import is_list
from teams_dagster.dataset.sample import Example
from teams_dagster.llm.reasoning import split_reasoning
from teams_dagster.llm.settling import storable
from teams_dagster.student.chat import decoded, encode_prompt
from teams_dagster.student.lengths import Lengths
from teams_dagster.student.loading import Student
from teams_dagster.student.threads import threads_for


def respond(student: Student, instruction: Instruction, *, max_new_tokens: int = 128) -> str:
    """The greedy answer to `instruction`, without special tokens, cut after `max_new_tokens` tokens."""
    (tokens,) = generate(student, [encode_prompt(student.tokenizer, instruction)], max_new_tokens=max_new_tokens)
    return text_of(student, tokens)


def text_of(student: Student, tokens: Sequence[int]) -> str:
    """An answer's tokens as text, without special tokens and without what the student thought before it."""
    whole = decoded(student.tokenizer, tokens)
    thought, answer = split_reasoning(whole)
    if not thought:
        return decoded(student.tokenizer, tokens, skip_special_tokens=True).strip()
    for special in student.tokenizer.all_special_tokens:  # marks of a thought may be among them
        answer = answer.replace(special, "")
    return answer.strip()


def end_tokens(student: Student) -> list[int]:
    """What ends an answer: the token that training closes each response with, and those that the base names."""
    named = student.model.generation_config.eos_token_id
    ends: list[object] = [student.tokenizer.eos_token_id, *(named if is_list(named) else [named])]
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


TOKENS_AT_ONCE = {"cpu": 8_192, "cuda": 16_384}
"""Tokens of a batch, prompts with room for their answers: on a GPU the keys and values of a 7B model take some 8 GB."""


@dataclass(frozen=True)
class StudentAnswer:
    """What a student answered to one instruction."""

    sample_id: str
    seed_id: str
    prompt_tokens: int
    response: str
    tokens: int
    """The end token included."""
    finished: bool
    """Whether it ended by itself; else it was cut off."""


def draw_examples(examples: Sequence[Example], count: int, *, seed: int) -> list[Example]:
    """`count` of `examples`, or all where there are fewer: one of each seed before any second one of a seed.

    A lot belongs to (seed, example), so that the draw depends on no order.
    """

    def lot(example: Example) -> tuple[float, str]:
        return uniform("judged", seed, example.sample_id), example.sample_id

    turns: list[tuple[int, tuple[float, str], Example]] = []
    met: dict[str, int] = {}
    for example in sorted(examples, key=lot):
        turn = met.get(example.seed_id, 0)
        met[example.seed_id] = turn + 1
        turns.append((turn, lot(example), example))
    turns.sort(key=lambda drawn: drawn[:2])
    return [example for *_, example in turns[:count]]


def with_room(lengths: Lengths, examples: Sequence[Example], room: int) -> tuple[list[Example], tuple[str, ...]]:
    """The examples whose prompt takes at most `room` tokens, and the sample ids of the others."""
    fits = {e.sample_id: lengths.prompt(e.instruction) <= room for e in examples}
    return [e for e in examples if fits[e.sample_id]], tuple(name for name, fit in fits.items() if not fit)


def answer_examples(
    student: Student,
    examples: Sequence[Example],
    *,
    max_new_tokens: int,
    known: Container[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[list[StudentAnswer]]:
    """The student's answers, a batch at a time, longest prompts first.

    `known` are the sample ids of answers that are there already: a batch of which all are is left out. Batches are
    the same whatever is known, so that a run that goes on answers as one that was never interrupted.
    """
    prompts = {example.sample_id: encode_prompt(student.tokenizer, example.instruction) for example in examples}
    seeds = {example.sample_id: example.seed_id for example in examples}
    ends, done = end_tokens(student), 0
    for batch in _batches(prompts, max_new_tokens, TOKENS_AT_ONCE[student.model.device.type]):
        done += len(batch)
        if all(name in known for name in batch):
            continue
        found = generate(student, [prompts[name] for name in batch], max_new_tokens=max_new_tokens)
        yield [
            StudentAnswer(
                sample_id=name,
                seed_id=seeds[name],
                prompt_tokens=len(prompts[name]),
                response=storable(text_of(student, tokens)),
                tokens=len(tokens),
                finished=tokens[-1] in ends,
            )
            for name, tokens in zip(batch, found, strict=True)
        ]
        progress(f"answered {done} of {len(prompts)} instructions")


def _batches(prompts: dict[str, list[int]], room: int, tokens: int) -> Iterator[list[str]]:
    """Sample ids, longest prompts first, at most `tokens` padded tokens a batch (one prompt at least)."""
    order = sorted(prompts, key=lambda name: (-len(prompts[name]), name))
    while order:
        size = max(1, tokens // (len(prompts[order[0]]) + room))
        yield order[:size]
        order = order[size:]
