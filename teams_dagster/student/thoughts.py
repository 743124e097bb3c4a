"""Thoughts as a part of what a student learns: as its chat template writes them, or in a block before the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from teams_dagster.dataset.formats import with_think_block
from teams_dagster.llm.reasoning import split_reasoning
from teams_dagster.student.adapter_config import TrainedReasoning
from teams_dagster.student.conversation import TemplateFault, dialect_of, rendered, written_text

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
