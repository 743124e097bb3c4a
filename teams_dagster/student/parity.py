"""Whether an adapter is asked in the very tokens it was trained on. Reads tokenizers and configurations, no weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from transformers import AutoConfig, GenerationConfig

from teams_dagster.core.instruction import user_message
from teams_dagster.core.type_guards import is_list
from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import TrainedReasoning
from teams_dagster.student.chat import (
    MASKED,
    decoded,
    encode_example,
    encode_prompt,
    labels_learn,
    template_version,
    tokens_of,
)
from teams_dagster.student.conversation import chat_messages, dialect_of, template_of, with_frozen_clock
from teams_dagster.student.loading import Recipe, load_tokenizer, wanted_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NO_LIMIT = 2**31


def parity_faults(trained_on: str | Path, used: str | Path, recipe: Recipe, example: Example) -> list[str]:
    """Where what `recipe`'s adapter was trained on (the base at `trained_on`) differs from what it is asked in.

    `used` is the base that evaluation and generation load. Raises OSError, by transformers, when one is gone.
    """
    wanted = wanted_template(recipe)
    then, _ = load_tokenizer(trained_on, wanted)
    now, name = load_tokenizer(used, wanted)
    return [
        *_recorded(then, now, name, recipe),
        *_rendered(then, now, example, recipe.reasoning or "none"),
        *stop_faults(now, used),
    ]


def _recorded(then: PreTrainedTokenizerBase, now: PreTrainedTokenizerBase, name: str, recipe: Recipe) -> Iterator[str]:
    """What is written down about the tokenizers."""
    if name != recipe.template:
        yield f"the template at training was {recipe.template}, now it is {name}"
    parts: dict[str, tuple[Any, Any]] = {
        "chat template": (template_of(then), template_of(now)),
        "special tokens": (then.special_tokens_map, now.special_tokens_map),
        "end-of-sequence token": (then.eos_token_id, now.eos_token_id),
        "number of tokens": (len(then), len(now)),
    }
    differing = [part for part, (before, after) in parts.items() if before != after]
    yield from (f"the {part} is not that of training" for part in differing)
    if template_version(now) != recipe.template_version and not differing:
        yield (
            f"chat template and tokens were {recipe.template_version} at training and are {template_version(now)} now:"
            " a file of the base was changed"
        )


def _rendered(
    then: PreTrainedTokenizerBase, now: PreTrainedTokenizerBase, example: Example, reasoning: TrainedReasoning
) -> Iterator[str]:
    """The tokens of one example on every path."""
    trained = encode_example(then, example, _NO_LIMIT, reasoning)
    prompt = encode_prompt(now, example.instruction)
    asked = encode_example(now, example, _NO_LIMIT, reasoning).input_ids
    yield from _first_difference("training", trained.input_ids, "evaluation", asked, now)
    masked = sum(label == MASKED for label in trained.labels)
    if masked != len(prompt):
        yield f"training took no loss on the first {masked} tokens, and the prompt has {len(prompt)}"
    if not labels_learn(then, trained.labels, example, reasoning):
        learnt = decoded(then, [label for label in trained.labels if label != MASKED])
        yield f"training learns {learnt!r} instead of the response"
    dialect = dialect_of(now)
    served: Any = now.apply_chat_template(  # pyright: ignore[reportUnknownMemberType]
        chat_messages(dialect, user_message(example.instruction)),
        tokenize=True,
        add_generation_prompt=True,
        return_dict=False,
        chat_template=with_frozen_clock(str(template_of(now))),
    )
    tools = [*served, *tokens_of(now, dialect.lead)]
    yield from _first_difference("generation", prompt, "the chat template of other tools", tools, now)


def _first_difference(
    one: str, tokens: Sequence[int], other: str, others: Sequence[int], tokenizer: PreTrainedTokenizerBase
) -> Iterator[str]:
    if list(tokens) == list(others):
        return
    shortest = min(len(tokens), len(others))
    at = next((k for k in range(shortest) if tokens[k] != others[k]), shortest)
    said = [repr(decoded(tokenizer, side[at : at + 1])) if at < len(side) else "nothing" for side in (tokens, others)]
    yield f"token {at} is {said[0]} in {one} and {said[1]} in {other}"


def stop_faults(tokenizer: PreTrainedTokenizerBase, path: str | Path) -> Iterator[str]:
    """Answers are trained to end with the tokenizer's end token: generation must stop there."""
    try:
        ends = cast(Any, GenerationConfig).from_pretrained(str(path)).eos_token_id
    except OSError:  # the model brings none: generation follows its configuration
        ends = cast(Any, AutoConfig).from_pretrained(str(path)).get_text_config().eos_token_id
    stops: set[object] = set(ends) if is_list(ends) else {ends}
    if tokenizer.eos_token_id not in stops:
        found = ", ".join(sorted(map(str, stops)))
        yield f"training ends answers with token {tokenizer.eos_token_id}, and generation stops at {found}"
