from __future__ import annotations

import torch

from teams_dagster.core.instruction import Instruction
from teams_dagster.student.answering import respond
from teams_dagster.student.chat import encode_prompt
from teams_dagster.student.loading import Student


def test_an_answer_takes_the_likeliest_token_each_time(student: Student) -> None:
    instruction = Instruction("List three facts.", "About rivers.")
    tokens = encode_prompt(student.tokenizer, instruction)
    start = len(tokens)
    with torch.no_grad():
        while len(tokens) < start + 12 and (len(tokens) == start or tokens[-1] != student.tokenizer.eos_token_id):
            tokens.append(int(student.model(torch.tensor([tokens])).logits[0, -1].argmax()))
    expected = student.tokenizer.decode(tokens[start:], skip_special_tokens=True)
    assert isinstance(expected, str)
    assert respond(student, instruction, max_new_tokens=12) == expected.strip()
