"""How many tokens a text takes where several models read it, each with the chat template of its training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import Template
from teams_dagster.student.chat import encode_prompt, encode_response
from teams_dagster.student.conversation import template_of
from teams_dagster.student.loading import Recipe, load_tokenizer, wanted_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Lengths:
    """Lengths in tokens under the template that takes most."""

    tokenizers: tuple[PreTrainedTokenizerBase, ...]
    """One for each template."""

    def prompt(self, instruction: Instruction) -> int:
        """Of the rendered instruction."""
        return max(len(encode_prompt(tokenizer, instruction)) for tokenizer in self.tokenizers)

    def response(self, example: Example) -> int:
        """Of the response, end of sequence included."""
        return max(len(encode_response(t, example.instruction, example.response)) for t in self.tokenizers)

    def whole(self, example: Example) -> int:
        """Of both."""
        return max(
            len(encode_prompt(t, example.instruction)) + len(encode_response(t, example.instruction, example.response))
            for t in self.tokenizers
        )


def lengths_for(base: str | Path, adapters: Iterable[Path]) -> Lengths:
    """For the base at `base`, asked in its own template, and adapters asked in those of their training."""
    wanted: set[Template] = {"auto", *(wanted_template(Recipe.load(folder)) for folder in adapters)}
    found = [load_tokenizer(base, template)[0] for template in sorted(wanted)]
    return Lengths(tuple({template_of(tokenizer): tokenizer for tokenizer in found}.values()))
