"""Chat templates as models bring them: each is spoken to so that the labels are the response, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.base import train_tokenizer
from teams_dagster.student.chat import (
    MASKED,
    encode_example,
    encode_prompt,
    encode_response,
    render_prompt,
    template_version,
)
from teams_dagster.student.rows import encode_rows

ASK = Instruction("Name a colour.")
EXAMPLE = Example("one", "seed", ASK, "Blue, as the sea.")
TURN = "<|user|>\n{{ m['content'] }}<|end|>\n"
CHAT = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}<|assistant|>\n{{ m['content'] }}<|end|>\n"
    "{% else %}" + TURN + "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
DATED = "Today is {{ strftime_now('%Y-%m-%d %H:%M:%S.%f') }}." + CHAT
PARTS = CHAT.replace(
    "{{ m['content'] }}",
    "{% for p in m['content'] %}{% if p['type'] == 'text' %}{{ p['text'] }}{% endif %}{% endfor %}",
)
NEEDS_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ raise_exception('a system turn comes first') }}{% endif %}" + CHAT
)
THINKING = CHAT.replace("%}<|assistant|>\n{% endif %}", "%}<|assistant|>\n<think>\n{% endif %}")
EMPTY_THOUGHT = CHAT.replace(
    "<|assistant|>\n{{ m['content'] }}", "<|assistant|>\n<think>\n\n</think>\n\n{{ m['content'] }}"
)
NO_HEAD = CHAT.split("{% if add_generation_prompt")[0]


def thinking(mark: str) -> str:
    """CHAT, with a prompt that ends with `mark`."""
    return CHAT.replace("%}<|assistant|>\n{% endif %}", "%}<|assistant|>\n" + mark + "{% endif %}")


ANSWERED_AS = CHAT.replace("{{ m['content'] }}<|end|>\n{% else", "SAID\n{% else")
"""CHAT, where SAID stands for what is written of an answer."""
PARTS_OF_USERS = CHAT.replace(TURN, TURN.replace("{{ m['content'] }}", "{{ m['content'][0]['text'] }}"))
PARTS_OF_ASSISTANTS = CHAT.replace(
    "\n{{ m['content'] }}<|end|>\n{% else", "\n{{ m['content'][0].text }}<|end|>\n{% else"
)
SYSTEM_IS_TEXT = (
    "{% if messages[0]['role'] != 'system' %}{{ raise_exception('a system turn comes first') }}{% endif %}"
    "{{ messages[0]['content'] + '<|end|>' }}" + PARTS.replace("in messages", "in messages[1:]")
)
TEMPLATES = {
    "asks for the time": DATED,
    "asks for the time by name": DATED.replace("strftime_now(", "strftime_now(format="),
    "reads parts": PARTS,
    "reads parts of users": PARTS_OF_USERS,
    "reads parts of assistants": PARTS_OF_ASSISTANTS,
    "reads parts, and a system turn as text": SYSTEM_IS_TEXT,
    "needs a system turn": NEEDS_SYSTEM,
    "ends its prompt in a thought": THINKING,
    "writes an empty thought before answers": EMPTY_THOUGHT,
    "writes no head of the answer": NO_HEAD,
    "ends answers twice": ANSWERED_AS.replace("SAID", "{{ m['content'] }}<|end|><|end|>"),
    "ends answers and begins the next": CHAT.split("{% if add_generation_prompt")[0] + "{{ '<|assistant|>\n' }}",
    "ends answers twice, and not at once": ANSWERED_AS.replace("SAID", "{{ m['content'] }}<|end|>\n{{ eos_token }}"),
    "ends answers with words": ANSWERED_AS.replace("SAID", "{{ m['content'] }}\nThank you!<|end|>"),
    "ends answers with another model's token": ANSWERED_AS.replace("SAID", "{{ m['content'] }}</s>"),
    "puts answers in quotes": ANSWERED_AS.replace("SAID", "\"{{ m['content'] }}\"<|end|>"),
    "strips white space": ANSWERED_AS.replace("SAID", "{{ m['content'] | trim }}<|end|>"),
    "breaks white space": ANSWERED_AS.replace("SAID", "{{ m['content'] | wordwrap(20) }}<|end|>"),
    "marks what is learnt": ANSWERED_AS.replace("SAID", "{% generation %}{{ m['content'] }}<|end|>{% endgeneration %}"),
    "asks for the time by another name": "{% set now = strftime_now %}{{ now('%S') }}" + CHAT,
    "goes on and breaks off": CHAT.replace(
        "{% if m",
        "{% if m['role'] == 'tool' %}{% continue %}{% endif %}{% if loop.index > 9 %}{% break %}{% endif %}{% if m",
        1,
    ),
    "has tools": "{% if tools %}{{ tools | tojson }}{% endif %}" + CHAT,
    "takes no system turn": "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHAT,
    "begins with a token that there is not": "{{ bos_token }}" + CHAT,
} | {
    f"ends its prompt in {mark.strip()}": thinking(mark)
    for mark in (
        "<think>",
        "<Thinking>\n",
        "<scratchpad>\n",
        "[THINK]",
        "◁think▷",
        "<seed:think>",
        "<|channel>thought\n",
    )
}
ANSWERS = ("Blue, as the sea.", "e", "d", "end", "n|", "A", "<b>x</b> & 'y'", "</think> closes a thought", "1. a\n2. b")


def tokenizer_with(template: str) -> Any:
    tokenizer = train_tokenizer(["a few words to learn the bytes from"], vocabulary=270)
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_labels_are_the_response_and_the_end_whatever_the_template_asks_for(name: str) -> None:
    tokenizer = tokenizer_with(TEMPLATES[name])
    for answer in ANSWERS:
        labels = encode_example(tokenizer, Example("one", "seed", ASK, answer), 1000).labels
        assert tokenizer.decode([label for label in labels if label != MASKED]) == f"{answer}<|end|>"
    prompt = tokenizer.decode(encode_prompt(tokenizer, ASK))
    assert "Name a colour." in prompt
    assert "'type'" not in prompt


def test_a_template_that_asks_for_the_time_writes_the_same_prompt_later() -> None:
    tokenizer = tokenizer_with(DATED)
    assert render_prompt(tokenizer, ASK).startswith("Today is 2026-01-01 00:00:00.000000.")


def test_a_prompt_that_ends_in_a_thought_is_closed_by_an_empty_one() -> None:
    assert render_prompt(tokenizer_with(THINKING), ASK).endswith("<|assistant|>\n<think>\n\n</think>\n\n")


def test_a_template_that_asks_for_nothing_in_particular_has_the_version_that_earlier_adapters_recorded() -> None:
    assert template_version(tokenizer_with(CHAT)) == "67b03518258397632475314c96112913"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for m in messages %}", "cannot be parsed, line 1"),
        ("{{ messages | length }}", "leaves the instruction out"),
        ("{{ messages[0]['content'] }}", "leaves the response out"),
        (CHAT.replace("m['content'] }}<|end|>", "m['content'][:1] }}<|end|>"), "leaves the"),
        ("{{ raise_exception('only on Sundays') }}", "only on Sundays"),
        ("{{ ['Hello', 'Good day'] | random }}" + CHAT, r"at random \(random\)"),
        ("{{ lipsum(n=1) }}" + CHAT, r"at random \(lipsum\)"),
        ("{{ messages | map(attribute='role') }}" + CHAT, "writes where an object lies in memory"),
        (CHAT.replace("in messages", "in messages | reverse"), "does not begin with its own prompt"),
        ("{{ now() }}" + CHAT, "'now' is undefined"),
        (
            CHAT.replace("m['content'] }}<|end|>\n{% else", "m['content'] | upper }}<|end|>\n{% else"),
            "out .* or changes it",
        ),
    ],
)
def test_a_template_that_no_example_can_be_written_with_is_refused_with_what_is_wrong(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        encode_prompt(tokenizer_with(template), ASK)


@pytest.mark.parametrize(
    "changed",
    ["m['content'].split('</think>')[-1]", "m['content'] | e", "m['content'] | replace('\\n', ' ')"],
    ids=["cut", "escaped", "on one line"],
)
def test_a_response_that_the_template_changes_is_learnt_as_it_is(changed: str) -> None:
    template = CHAT.replace("<|assistant|>\n{{ m['content'] }}", f"<|assistant|>\n{{{{ {changed} }}}}")
    said = encode_response(tokenizer_with(template), ASK, "<think>two</think>\nFour & <b>more</b>.")
    assert tokenizer_with(template).decode(said) == "<think>two</think>\nFour & <b>more</b>.<|end|>"


def test_an_example_before_whose_response_the_template_writes_another_prompt_is_left_out_and_named() -> None:
    long = Example("long", "seed", ASK, "Blue, as the sea. " * 20)
    template = "{% if messages[-1]['content'] | length > 200 %}Long.{% endif %}" + CHAT
    rows = encode_rows(tokenizer_with(template), [EXAMPLE, long], 1000)
    assert rows.unwritable == ("long",)
    assert len(rows) == 1


def test_an_example_whose_response_the_tokenizer_cannot_write_is_left_out_and_named() -> None:
    strange = Example("strange", "seed", ASK, "It is <|end|> blue.")
    rows = encode_rows(tokenizer_with(CHAT), [EXAMPLE, strange], 1000)
    assert rows.unwritable == ("strange",)
    assert len(rows) == 1
