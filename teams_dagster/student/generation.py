"""A student's answer to an instruction."""

from __future__ import annotations

import torch

from teams_dagster.instructions.instruction import Instruction
from teams_dagster.student.chat import encode_prompt
from teams_dagster.student.loading import Student
from teams_dagster.student.threads import threads_for


@torch.inference_mode()
def respond(student: Student, instruction: Instruction, *, max_new_tokens: int = 128) -> str:
    """The greedy answer to `instruction`, without special tokens, cut after `max_new_tokens` tokens."""
    prompt = torch.tensor([encode_prompt(student.tokenizer, instruction)], device=student.model.device)
    with threads_for(student.model):
        output = student.model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=max_new_tokens,
            pad_token_id=student.tokenizer.pad_token_id,
        )
    text = student.tokenizer.decode(output[0, prompt.shape[1] :], skip_special_tokens=True)
    assert isinstance(text, str)
    return text.strip()
