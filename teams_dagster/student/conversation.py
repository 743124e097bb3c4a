"""What a chat template asks of its messages, found out by rendering one exchange: every path writes prompts by it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, cast

from jinja2 import TemplateSyntaxError

from teams_dagster.llm.reasoning import MARKS, WORDS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""What the time is to every chat template."""
ASKS = "strftime_now"
"""The function that a chat template asks the time with."""

_DIRECTIVES = [*(f"%{letter}" for letter in "aAbBcdeDfFGHIjmMpSTuUVwWxXyYzZ"), "%-d", "%-m", "%-H", "%-I", "%-M", "%-j"]
_FROZEN = (
    f"{{%- macro {ASKS}(format) -%}}{{{{- format"
    + "".join(f" | replace('{directive}', '{CLOCK.strftime(directive)}')" for directive in _DIRECTIVES)
    + "-}}{%- endmacro -%}"
)


def asks_the_time(chat_template: str) -> bool:
    """Whether a chat template's prompts would depend on when they are written."""
    return ASKS in chat_template


def with_frozen_clock(chat_template: str) -> str:
    """The same template, with a clock of its own that stands at CLOCK; as it is where it asks for no time.

    The clock is written in the template's language: whoever gets the template with a model has it too.
    """
    if not asks_the_time(chat_template) or chat_template.startswith(_FROZEN):
        return chat_template
    return _FROZEN + chat_template


SYSTEM = "You are a helpful assistant."
"""The system turn, where a template does not do without one."""

_QUESTION, _ANSWER = "Which colour is the box?", "The box is blue."
NEWLINE = "\n"
_OWN_MARKS = (
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
"""Spellings of single models: an answer that has them is read like any other, a template closes what it opened."""
_CLOSED_BY = {
    opening.lower(): closing for opening, closing in (*MARKS, *_OWN_MARKS, *((f"<{w}>", f"</{w}>") for w in WORDS))
}
"""What closes a thought that these marks open."""
_THINKING_BEGINS = re.compile(rf"({'|'.join(map(re.escape, _CLOSED_BY))})\s*\Z", re.IGNORECASE)
_DRAWN = re.compile(r"\|\s*(random)\b|\b(lipsum)\b")
_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")
_PARTS_AS_TEXT = re.compile(r"""\[\{['"]type['"]: ['"]text['"]""")
_SPOKEN_TO: tuple[tuple[bool, tuple[str, ...]], ...] = (
    (False, ()),
    (True, ()),
    (True, ("assistant",)),
    (True, ("user",)),
    (True, ("system",)),
    (True, ("system", "assistant")),
    (True, ("system", "user")),
)
"""What content may be, the most usual first: text, parts, or parts but for the turns of some roles."""


class TemplateFault(ValueError):
    """A chat template that no training example can be written with."""


class PromptChanged(TemplateFault):
    """A chat template that writes another prompt once an answer follows it: this one, or any."""


@dataclass(frozen=True)
class Dialect:
    """How a chat template is spoken to, and what it writes around an answer."""

    parts: bool = False
    """Content is a list of parts, each with a type; text alone would be left out."""
    texts: tuple[str, ...] = ()
    """The roles whose content is text where that of the others is parts."""
    system: bool = False
    """A conversation begins with a system turn."""
    lead: str = ""
    """What stands between the prompt that the template writes and an answer: the head of the assistant's turn, or an
    empty thought. It is part of every prompt here, and carries no loss."""
    thinks: bool = False
    """The prompt opens a thought: `lead` closes it, and conversations do not repeat it."""
    clock: str | None = None
    """The time that the template is told, where it asks; else None."""
    unsaid: str = ""
    """What it writes after an answer and nobody learns: text that is no token of its own, or what follows the end
    token."""

    @property
    def version(self) -> tuple[dict[str, Any], ...]:
        """What of it decides tokens; empty for a template that asks for nothing in particular."""
        said = {name: value for name, value in asdict(self).items() if name not in ("texts", "unsaid") or value}
        return () if self == Dialect() else (said,)

    @property
    def notes(self) -> tuple[str, ...]:
        """What somebody should know who asks the model with other tools."""
        said: list[str] = []
        if self.system:
            said.append(f"its chat template needs a system turn, and is given {SYSTEM!r}")
        if self.thinks:
            said.append(f"its chat template ends the prompt in a thought, which is closed at once by {self.lead!r}")
        elif self.lead:
            said.append(f"its prompts end with {self.lead!r}, which its chat template writes only before an answer")
        if self.unsaid:
            said.append(
                f"its chat template writes {self.unsaid.strip()!r} after an answer, which is not learnt: answers end"
                " with the end token"
            )
        if self.clock is not None:
            said.append(f"its chat template asks for the time, and is always told {self.clock}")
        return tuple(said)


def template_of(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Its chat template: of several, loading it leaves one."""
    return cast("str | None", tokenizer.chat_template)  # pyright: ignore[reportUnknownMemberType]


def dialect_of(tokenizer: PreTrainedTokenizerBase) -> Dialect:
    """How the chat template of `tokenizer` is spoken to.

    Raises TemplateFault when it cannot be parsed, or no way of speaking to it brings a question and its answer back.
    """
    return _dialect(tokenizer, str(template_of(tokenizer)))


def prompt_text(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """The prompt that asks `question`, up to where the answer begins."""
    dialect = dialect_of(tokenizer)
    return rendered(tokenizer, dialect, question) + dialect.lead


def conversation_text(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> tuple[str, str]:
    """The prompt that asks `question`, and what is learnt after it: `answer`, and how the template ends it.

    A template that writes this answer otherwise (escaped, or cut at a mark in it) is for once not followed: the
    student is to write the answer as it is. Raises PromptChanged where it writes an answer after another prompt.
    """
    prompt, said = prompt_text(tokenizer, question), written_text(tokenizer, question, answer)
    if said is None:
        said = answer.strip() + _around_answer(tokenizer, question)[1]
    return prompt, said.removesuffix(dialect_of(tokenizer).unsaid)


def written_text(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> str | None:
    """What the template writes after the prompt that asks `question`; None where that is not `answer` as it is.

    Raises PromptChanged where it writes an answer after another prompt.
    """
    dialect = dialect_of(tokenizer)
    whole = rendered(tokenizer, dialect, question, answer)
    prompt = rendered(tokenizer, dialect, question) + dialect.lead
    before = _around_answer(tokenizer, question)[0] if dialect.thinks else prompt
    if not whole.startswith(before):
        raise _own_prompt_fault(prompt)
    said = whole[len(before) :]
    return said if said.lstrip().startswith(answer.strip()) else None


def _around_answer(tokenizer: PreTrainedTokenizerBase, question: str) -> tuple[str, str]:
    """What the template writes before an answer to `question`, and after it."""
    before, _, after = rendered(tokenizer, dialect_of(tokenizer), question, _ANSWER).rpartition(_ANSWER)
    return before, after


def chat_messages(
    dialect: Dialect, question: str, answer: str | None = None, thought: str | None = None
) -> list[dict[str, Any]]:
    """The turns as a chat template takes them; `thought` came before `answer`."""
    turns = [("system", SYSTEM)] if dialect.system else []
    turns.append(("user", question))
    if answer is not None:
        turns.append(("assistant", answer))
    messages: list[dict[str, Any]] = [
        {
            "role": role,
            "content": [{"type": "text", "text": text}] if dialect.parts and role not in dialect.texts else text,
        }
        for role, text in turns
    ]
    if thought is not None:
        messages[-1]["reasoning_content"] = thought
    return messages


@lru_cache(maxsize=16)
def _dialect(tokenizer: PreTrainedTokenizerBase, chat_template: str) -> Dialect:
    if (drawn := _DRAWN.search(chat_template)) is not None:
        raise TemplateFault(
            f"the chat template draws at random ({drawn[1] or drawn[2]}), so that a prompt is never the same twice"
        )
    clock = CLOCK.isoformat() if asks_the_time(chat_template) else None
    faults: list[str] = []
    for system, (parts, texts) in product((False, True), _SPOKEN_TO):
        try:
            return _answered(tokenizer, Dialect(parts=parts, texts=texts, system=system, clock=clock))
        except TemplateSyntaxError as error:
            raise TemplateFault(f"the chat template cannot be parsed, line {error.lineno}: {error.message}") from None
        except TemplateFault as fault:
            faults.append(str(fault))
        except Exception as error:  # a template is a program: it may raise anything
            faults.append(f"the chat template does not take an instruction and its response: {error}")
    raise TemplateFault(faults[0])


def _answered(tokenizer: PreTrainedTokenizerBase, dialect: Dialect) -> Dialect:
    """`dialect` with what stands before an answer. Raises TemplateFault where question or answer do not come back."""
    prompt = rendered(tokenizer, dialect, _QUESTION)
    if _QUESTION not in prompt or _PARTS_AS_TEXT.search(prompt):
        raise TemplateFault("the chat template leaves the instruction out of its prompt")
    if (address := _ADDRESS.search(prompt)) is not None:
        raise TemplateFault(
            f"the chat template writes where an object lies in memory ({address[0]}), so that a prompt is never the"
            " same twice"
        )
    head, found, tail = rendered(tokenizer, dialect, _QUESTION, _ANSWER).rpartition(_ANSWER)
    if not found or _PARTS_AS_TEXT.search(head):
        raise TemplateFault("the chat template leaves the response out of a conversation, or changes it")
    dialect = replace(dialect, unsaid=_unsaid(tokenizer, tail))
    if head.startswith(prompt):
        between = head[len(prompt) :]
        # White space there is trained on, as it always was: it would be split from the answer's first token
        return replace(dialect, lead=between if between.strip() else "")
    opened = _THINKING_BEGINS.search(prompt)
    if opened is None or not head.startswith(prompt[: opened.start()].rstrip()):
        raise _own_prompt_fault(prompt)
    closing = _CLOSED_BY[opened[1].lower()]
    closed = f"{'' if prompt[-1].isspace() else NEWLINE}{NEWLINE}{closing}{NEWLINE * 2}"
    return replace(dialect, lead=closed, thinks=True)


def _unsaid(tokenizer: PreTrainedTokenizerBase, tail: str) -> str:
    """What of `tail`, written after an answer, is not learnt: all of it from where it is text, or after its end token.

    White space there is left to the tokens, and so are the tokens that the vocabulary has for turns.
    """
    before, ended, after = tail.partition(str(tokenizer.eos_token))
    words = before
    added: Any = tokenizer.get_added_vocab  # which transformers types as a token
    for token in added():
        words = words.replace(token, "")
    if words.strip():
        return tail
    return after if ended and after.strip() else ""


def _own_prompt_fault(prompt: str) -> PromptChanged:
    return PromptChanged(
        "the chat template writes a conversation that does not begin with its own prompt "
        f"({prompt[-60:]!r} is not followed by the response); give the student a template that does"
    )


def rendered(
    tokenizer: PreTrainedTokenizerBase,
    dialect: Dialect,
    question: str,
    answer: str | None = None,
    thought: str | None = None,
) -> str:
    """What the chat template writes: the prompt, or with `answer` the conversation."""
    text = tokenizer.apply_chat_template(  # pyright: ignore[reportUnknownMemberType]
        chat_messages(dialect, question, answer, thought),
        tokenize=False,
        add_generation_prompt=answer is None,
        chat_template=with_frozen_clock(str(template_of(tokenizer))),
    )
    assert isinstance(text, str)
    return text
