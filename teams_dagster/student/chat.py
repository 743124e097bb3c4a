"""How an instruction becomes a prompt, and an example becomes tokens with labels.

Training, scoring and generation all come through here: a template that differed between them would make a fine-tune
look useless.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction, user_message
from teams_dagster.dataset.formats import with_think_block
from teams_dagster.dataset.sample import Example
from teams_dagster.llm.reasoning import split_reasoning
from teams_dagster.student.adapter_config import TrainedReasoning
from teams_dagster.student.conversation import (
    TemplateFault,
    conversation_text,
    dialect_of,
    prompt_text,
    rendered,
    template_of,
    written_text,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def thinking_text(
    tokenizer: PreTrainedTokenizerBase, question: str, answer: str, thought: str, reasoning: TrainedReasoning
) -> tuple[str, str]:
    """The prompt that asks `question`, and what follows it: `thought`, `answer`, and how the template ends them.

    `reasoning` is `template` (the chat template is given `reasoning_content`) or `think` (the answer begins with a
    `<think>` block). Raises TemplateFault where the template does not write both so that they can be told apart again.
    """
    dialect = dialect_of(tokenizer)
    if dialect.lead:
        raise TemplateFault(
            f"reasoning: {reasoning} cannot be trained, because prompts of this chat template end with {dialect.lead!r}"
            " before every answer: set template to `alpaca`, or reasoning to `none`"
        )
    prompt = rendered(tokenizer, dialect, question)
    if reasoning == "think":
        said = written_text(tokenizer, question, with_think_block(thought, answer))
        if said is None:
            raise TemplateFault(
                "reasoning: think cannot be trained, because this chat template does not write the response as it is,"
                " thought and all: set reasoning to `template`, or template to `alpaca`"
            )
        return prompt, said.removesuffix(dialect.unsaid)
    whole = rendered(tokenizer, dialect, question, answer, thought)
    said = whole[len(prompt) :] if whole.startswith(prompt) else ""
    if thought.strip() not in said:
        raise TemplateFault(
            "reasoning: template cannot be trained, because this chat template leaves `reasoning_content` out of a"
            " conversation: set reasoning to `think`, which writes it into the answer"
        )
    found, rest = split_reasoning(said)
    if found != thought.strip() or not rest.startswith(answer.strip()):
        raise TemplateFault(
            f"reasoning: template cannot be trained, because this chat template writes a thought so that nobody could"
            f" tell it from the answer: {said[:60]!r}; set reasoning to `think`, which marks it"
        )
    return prompt, said.removesuffix(dialect.unsaid)


MASKED = -100
"""The label of a token that carries no loss (PyTorch's `ignore_index`)."""
EMBEDDED_TEMPLATE, ALPACA_TEMPLATE = "embedded", "alpaca"


class ExampleTooLong(ValueError):
    """An example that does not fit whole: cutting it would cut off the end of the response."""


@dataclass(frozen=True)
class Encoded:
    """An example as tokens: `input_ids` and `labels` of equal length, labels MASKED on the prompt."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def response_tokens(self) -> int:
        """Tokens that carry loss, the end-of-sequence token included."""
        return sum(label != MASKED for label in self.labels)


def template(name: str) -> str:
    """A chat template shipped with the product (`embedded` or `alpaca`), as Jinja text."""
    return (files("teams_dagster.student") / "templates" / f"{name}.jinja").read_text(encoding="utf-8").rstrip("\n")


def template_version(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of everything that decides how text becomes tokens here: chat template, end token, special tokens."""
    return content_hash(
        "chat",
        template_of(tokenizer),
        tokenizer.eos_token,
        tokenizer.special_tokens_map,
        len(tokenizer),
        *dialect_of(tokenizer).version,
    )


def render_prompt(tokenizer: PreTrainedTokenizerBase, instruction: Instruction) -> str:
    """The text a student sees before it answers, as the tokenizer's chat template writes it."""
    return prompt_text(tokenizer, user_message(instruction))


def encode_prompt(tokenizer: PreTrainedTokenizerBase, instruction: Instruction) -> list[int]:
    """The prompt as tokens; special tokens are the template's business, none are added."""
    return tokens_of(tokenizer, render_prompt(tokenizer, instruction))


def encode_response(tokenizer: PreTrainedTokenizerBase, instruction: Instruction, response: str) -> list[int]:
    """The response as the template ends it, closed by exactly one end-of-sequence token.

    Raises ValueError where the template changes the prompt once an answer follows it: what the student is trained on
    would then differ from what it is asked.
    """
    _, said = conversation_text(tokenizer, user_message(instruction), response)
    return _closed(tokenizer, said)


def _closed(tokenizer: PreTrainedTokenizerBase, said: str) -> list[int]:
    tokens = tokens_of(tokenizer, said)
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise ValueError("the tokenizer has no end-of-sequence token: set `eos_token` in its configuration")
    while tokens and tokens[-1] != end and not decoded(tokenizer, tokens[-1:]).strip() and end in tokens:
        tokens.pop()  # white space that the template writes after the end token is never generated
    return tokens if tokens and tokens[-1] == end else [*tokens, end]


def learnt_text(tokenizer: PreTrainedTokenizerBase, example: Example, reasoning: TrainedReasoning) -> str:
    """What a student learns to write of `example`, with how the template ends it. Raises TemplateFault."""
    question = user_message(example.instruction)
    if reasoning == "none" or not example.reasoning:
        return conversation_text(tokenizer, question, example.response)[1]
    return thinking_text(tokenizer, question, example.response, example.reasoning, reasoning)[1]


def labels_learn(
    tokenizer: PreTrainedTokenizerBase, labels: Sequence[int], example: Example, reasoning: TrainedReasoning
) -> bool:
    """Whether the tokens that carry loss decode to what is to be learnt of `example`, marks of its thought and all."""
    if reasoning == "none" or not example.reasoning:
        return labels_say(tokenizer, labels, example.response)
    learnt = learnt_text(tokenizer, example, reasoning)
    end = learnt.rfind(example.response.strip()) + len(example.response.strip())
    shown = [label for label in labels if label != MASKED]
    return _letters(decoded(tokenizer, shown)).startswith(_letters(learnt[:end]))


def labels_say(tokenizer: PreTrainedTokenizerBase, labels: Sequence[int], response: str) -> bool:
    """Whether the tokens that carry loss decode to `response`, white space and Unicode's spellings apart.

    They do not where a tokenizer has no tokens for a text, or takes a part of it for a special token.
    """
    shown = [label for label in labels if label != MASKED]
    return _letters(decoded(tokenizer, shown, skip_special_tokens=True)).startswith(_letters(response))


def _letters(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def encode_example(
    tokenizer: PreTrainedTokenizerBase, example: Example, max_length: int, reasoning: TrainedReasoning = "none"
) -> Encoded:
    """`example` as tokens, loss on the response and its end token only, and on its thought where `reasoning` says so.

    Raises ExampleTooLong when prompt and response exceed `max_length` tokens: nothing is ever cut.
    """
    prompt = encode_prompt(tokenizer, example.instruction)
    response = _closed(tokenizer, learnt_text(tokenizer, example, reasoning))
    length = len(prompt) + len(response)
    if length > max_length:
        raise ExampleTooLong(f"sample {example.sample_id} has {length} tokens, more than max_length {max_length}")
    return Encoded(tuple(prompt + response), tuple([MASKED] * len(prompt) + response))


def decoded(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], *, skip_special_tokens: bool = False) -> str:
    """`tokens` as text."""
    return str(tokenizer.decode(list(tokens), skip_special_tokens=skip_special_tokens))  # pyright: ignore[reportUnknownMemberType]


def tokens_of(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """`text` as tokens, none of them added."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]
