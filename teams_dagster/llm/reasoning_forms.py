"""Thoughts that stand between no pair of tags: in channels, under labels, after a sentence that announces them."""

from __future__ import annotations

import re

from teams_dagster.llm.reasoning_named import (
    each_mark,
    goes_on_with_a_sign,
    is_in_a_sentence,
    is_within_quotes,
)

_CHANNEL = re.compile(
    r"(?:<\|start\|>(?:\s*\w+\b)?\s*)?<\|channel\|>\s*(?P<name>\w+)\b(?:\s+to=[^<]*)?\s*(?:<\|constrain\|>[^<]*)?"
    r"<\|message\|>"
)

_AFTER_A_CHANNEL = re.compile(r"<\|(?:end|return|call)\|>\s*\Z")

_SHORTLY = 200

_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start)\|>.*\Z", re.DOTALL)

_BARE_CHANNELS = re.compile(
    r"\A(?:assistant)?(?:analysis|commentary)(?P<thought>.*?)"
    r"(?:(?<! )assistantfinal|assistantfinal(?! ))(?P<answer>.*)\Z",
    re.DOTALL,
)
"""Channels whose marks a server left out as special tokens."""

_ANNOUNCED = re.compile(
    r"\A\s*Here (?:is my thought process|are my reasoning steps):(?P<thought>.*?)"
    r"(?:^\s*Here is my response:|\[BEGIN FINAL RESPONSE\])(?P<answer>.*?)(?:\[END FINAL RESPONSE\]\s*)?\Z",
    re.DOTALL | re.MULTILINE,
)
"""Sentences that Granite and Apriel write in the place of marks. One of them alone may be what was asked for."""

_THINKING = (
    r"(?:(?:my |the )?(?:thinking|thoughts?)(?: process)?|(?:internal|inner) (?:monologue|thoughts?)|思考(?:过程)?)"
)
"""A label of thoughts. `Reasoning` is none: instructions ask for one with the answer."""

_ANSWER = r"(?:(?:my |the )?(?:final )?(?:answer|response|reply|output)|最终答案|答案|回答)"

_DRESSES = ((r"\*\*", r"(?:[:：]\*\*|\*\*[:：]?)"), (r"\#{1,6} ", r"[:：]?[ \t]*\n"), ("", "[:：]"))
"""What stands before and after a label: it is bold, a heading, or a word with a colon."""

_LABELLED = tuple(
    re.compile(
        rf"\A\s*{before}{_THINKING}{after}(?P<thought>.+?)"
        rf"(?:(?<=\n)|(?<=\s)(?=\*)){before}{_ANSWER}{after}(?P<answer>.+)\Z",
        re.IGNORECASE | re.DOTALL,
    )
    for before, after in _DRESSES
)
"""`**Thinking:** ... **Final answer:** ...`, both labels in the same dress."""

_SHOWN_THINKING = re.compile(
    r"\A\s*Thinking\.{3}[ \t]*\n(?P<thought>.*?)\n[ \t]*\.{3} ?done thinking\.?[ \t]*(?:\n(?P<answer>.*))?\Z",
    re.DOTALL | re.IGNORECASE,
)
"""As Ollama prints thoughts."""

_QUOTED_THINKING = re.compile(
    rf"\A\s*>[ \t]*[^\w\n]{{0,6}}(?:{_THINKING}|reasoning|thought for [^\n]{{1,30}})[^\w\n]{{0,8}}\n"
    r"(?P<thought>(?:[ \t]*>[^\n]*(?:\n|\Z))+)\s*(?P<answer>[^>\s].*)?\Z",
    re.DOTALL | re.IGNORECASE,
)

_QUOTE = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)


def split_form(text: str) -> tuple[str, str] | None:
    """(thought, answer) of a text that tells the two apart without tags; None for any other."""
    if channels := _channels(text):
        return _split_channels(text, channels)
    if (quoted := _QUOTED_THINKING.match(text)) is not None:
        return _QUOTE.sub("", quoted["thought"]).strip(), (quoted["answer"] or "").strip()
    for form in (_BARE_CHANNELS, _ANNOUNCED, _SHOWN_THINKING, *_LABELLED):
        if (found := form.match(text)) is not None:
            return found["thought"].strip(), (found["answer"] or "").strip()
    return None


def joined(parts: list[str]) -> str:
    """The parts that say something, as paragraphs."""
    return "\n\n".join(stripped for part in parts if (stripped := part.strip()))


def _channels(text: str) -> list[re.Match[str]]:
    """The marks that begin a channel: at first none in code or in a sentence, later also each after another's end."""
    found: list[re.Match[str]] = []
    if "<|channel|>" not in text:
        return found
    for mark, in_code in each_mark(text, _CHANNEL):
        before = text[max(0, mark.start() - _SHORTLY) : mark.start()]
        after = text[mark.end() : mark.end() + _SHORTLY]
        ends_another = bool(found) and _AFTER_A_CHANNEL.search(before) is not None
        in_words = is_in_a_sentence(before) or before.endswith((": ", "e.g. "))
        spoken_of = in_code or in_words or is_within_quotes(before, after) or goes_on_with_a_sign(after)
        if ends_another or not spoken_of:
            found.append(mark)
    return found


def _split_channels(text: str, marks: list[re.Match[str]]) -> tuple[str, str]:
    """Harmony's channels: `final` is the answer, the others (analysis, commentary) are thought."""
    thoughts, answers = [_CHANNEL_END.sub("", text[: marks[0].start()])], list[str]()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=True):
        content = _CHANNEL_END.sub("", text[mark.end() : end])
        (answers if mark["name"] == "final" else thoughts).append(content)
    return joined(thoughts), joined(answers)
