"""What a reasoning model thought, told from what it answered.

Servers with a reasoning parser send the two apart; others leave the model's own marks in the text. What is between
marks is never an answer, and neither is what was cut off before its closing mark. A thought stands at the beginning;
marks that come later, in a sentence, a quotation, code or an example, are mostly what a text is about
(`reasoning_named`). Thoughts without such marks are in `reasoning_forms`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from teams_dagster.llm.reasoning_forms import joined, split_form
from teams_dagster.llm.reasoning_marks import WORDS, plainly_marked
from teams_dagster.llm.reasoning_named import (
    FENCE,
    begins_a_sentence,
    each_mark,
    ends_a_thought,
    is_introduced,
    is_named,
    is_named_alone,
    is_shown_first,
    rest_of_line,
)

MARKS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel>thought", "<channel|>"),
    ("<unused94>thought", "<unused95>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
)
"""Opening and closing marks that stand for nothing else, wherever they are, but for those that are only spelt
otherwise (`reasoning_marks`)."""

_MARK = re.compile(
    f"(?P<open>{'|'.join(re.escape(opening) for opening, _ in MARKS)})"
    f"|(?P<close>{'|'.join(re.escape(closing) for _, closing in MARKS)})"
)

_FIRST_BLOCK = re.compile(
    rf"\A\s*<(?P<tag>{'|'.join(WORDS)})(?:\s[^<>]*)?>(?P<thought>.*?)(?P<closed></(?:(?P=tag)|think)>|\Z)",
    re.DOTALL,
)

_CLOSED_BY_WORD = re.compile(rf"</(?:{'|'.join(WORDS)})>")

_OPENED_BY_WORD = re.compile(rf"<(?:{'|'.join(WORDS)})\b[^<>]*>?")

_BLOCK_AFTER_A_LINE = re.compile(
    rf"\A\s*(?P<line>[^\n<>`]{{1,80}}[.!?…])\s*\n {{0,3}}<(?P<tag>think|{'|'.join(WORDS)})>[ \t]*\n"
    r"(?P<thought>.*?)\n[ \t]*</(?P=tag)>[ \t]*\n\s*(?P<answer>[^\s<].*)\Z",
    re.IGNORECASE | re.DOTALL,
)
"""A thought on lines of its own after one line of talk ("Okay!"). What ends in a colon shows a form, and no thought."""

_BLOCK_AFTER_TALK = re.compile(
    r"\A\s*(?P<line>(?:sure|ok(?:ay)?|of course|certainly|absolutely|al(?:l )?right|hm+|great|got it|yes|right|well"
    r"|wait|no problem|gladly|understood|thanks?|good question|interesting|let(?:'s| me| us)|i(?:'ll| will| need to|'d)"
    r"|first)"
    rf"\b[^\n<>`]{{0,80}}?[.!?…:,-]*)\s*<(?P<tag>think|{'|'.join(WORDS)})\b[^<>]*>"
    r"(?P<thought>.*?)</(?P=tag)>\s*(?P<answer>(?:<(?:answer|response|output)>|[^\s<]).*)\Z",
    re.IGNORECASE | re.DOTALL,
)
"""A thought after a few words of talk ("Sure! <reasoning>..."), wherever its line ends."""

_PART_OF_A_DOCUMENT = re.compile(rf"\s*<(?!(?:answer|response|output|{'|'.join(WORDS)})\b)[a-z]", re.IGNORECASE)
"""What follows an `analysis` that is no thought but the first part of a document."""

_MARKED = re.compile(
    r"\A\s*<\|(?:begin_of_solution|begin_of_box|START_RESPONSE|START_TEXT)\|>(?P<marked>.*?)"
    r"(?:<\|(?:end_of_solution|end_of_box|END_RESPONSE|END_TEXT)\|>\s*)?\Z",
    re.DOTALL,
)
"""What some models put around an answer, and nothing else."""

_TAGGED = re.compile(
    r"\A\s*<(?P<tag>answer|response|output)>(?P<tagged>(?:(?!<(?P=tag)>).)*?)(?:</(?P=tag)>\s*)?\Z",
    re.IGNORECASE | re.DOTALL,
)
"""What they put around the answer that follows their thoughts."""

_ANY_TAG = re.compile(r"<[^<>]*>")

_LAYOUT = re.compile(r"[\s#>*_\ufeff\u200b-]+")
"""What a line may begin with before a mark: of no answer."""


def split_reasoning(text: str) -> tuple[str, str]:
    """What `text` holds of thought, and what of an answer: (thought, answer), each possibly empty.

    Marks are `<think>` and its kin (`MARKS`), also a closing one whose opening the chat template wrote, and channels
    (`<|channel|>analysis<|message|>...`), whose `final` one is the answer. An answer that breaks off into a thought is
    none. Marks in code (between backticks) are what a text is about and stay; without any mark `text` is the answer
    as it is.
    """
    plain = plainly_marked(text)
    thought, answer = _split(plain)
    return (thought, answer) if thought or answer != plain else ("", text)


def _split(text: str) -> tuple[str, str]:
    """The same for a text whose marks are plain."""
    if (told := split_form(text)) is not None:
        return told
    if is_shown_first(text):
        return "", text
    if (first := _FIRST_BLOCK.match(text)) is not None and not _begins_a_document(first, text):
        thought, answer = _split(text[first.end() :])
        return joined([first["thought"], thought]), _unwrapped(answer)
    if (block := _BLOCK_AFTER_A_LINE.match(text) or _block_after_talk(text)) is not None:
        thought, answer = _split_blocks(block["answer"])
        return joined([block["line"], block["thought"], thought]), _unwrapped(answer)
    if (closed := _closed_by_word(text)) is not None:
        thought, answer = _split_blocks(text[closed.end() :])
        return joined([text[: closed.start()], thought]), _unwrapped(answer)
    thought, answer = _split_blocks(text)
    return thought, _unwrapped(answer) if thought else _unmarked(answer)


def _begins_a_document(first: re.Match[str], text: str) -> bool:
    """Whether a text's first block is an analysis that stands before other parts, or a tag that a sentence is about."""
    if not first["closed"] and begins_a_sentence(first["thought"]):
        return True
    return (
        first["tag"].lower() in ("analysis", "rationale") and _PART_OF_A_DOCUMENT.match(text, first.end()) is not None
    )


def _block_after_talk(text: str) -> re.Match[str] | None:
    """A thought after a few words of talk; None where the talk is about the mark."""
    block = _BLOCK_AFTER_TALK.match(text)
    opening = None if block is None else _ANY_TAG.search(text, block.end("line"))
    return None if opening is not None and is_named(text, opening) else block


def _closed_by_word(text: str) -> re.Match[str] | None:
    """The closing tag of a thought whose opening one the chat template wrote; None in code, and after an opening.

    One that has its line ends what only speaks of such tags before it, within a line.
    """
    closed = list(_CLOSED_BY_WORD.finditer(text)) if "</" in text else []
    if not closed:
        return None
    openings = list(_OPENED_BY_WORD.finditer(text))
    if not any(_has_its_line(text, opening) for opening in openings):
        for mark in reversed(closed):
            if _has_its_line(text, mark) and text.count(FENCE, 0, mark.start()) % 2 == 0:
                return mark
    before = text[: closed[0].start()]
    in_code = before.count(FENCE) % 2 or before[before.rfind("\n") + 1 :].count("`") % 2
    return None if in_code or is_named(text, closed[0]) or _OPENED_BY_WORD.search(before) else closed[0]


def _has_its_line(text: str, mark: re.Match[str]) -> bool:
    """Whether nothing else is on a mark's line."""
    begins = text.rfind("\n", 0, mark.start()) + 1
    return not text[begins : mark.start()].strip() and not rest_of_line(text, mark).strip()


def _unwrapped(answer: str) -> str:
    """An answer without the marks or tags that stand around all of it."""
    tagged = _TAGGED.match(answer)
    return (_unmarked(answer) if tagged is None else tagged["tagged"]).strip()


def _unmarked(answer: str) -> str:
    """An answer without the marks that stand around all of it."""
    marked = _MARKED.match(answer)
    return answer if marked is None else marked["marked"].strip()


def _split_blocks(text: str) -> tuple[str, str]:
    """Blocks between opening and closing marks."""
    if not any(mark in text for pair in MARKS for mark in pair):
        return "", text
    if (last := _closed_once_more(text)) is not None:
        return text[: last.start()].strip(), text[last.end() :].strip()
    thoughts: list[str] = []
    answers: list[str] = []
    begins, opened = 0, False
    for mark in _unquoted(text):
        if mark["close"] is None:
            if not opened:
                answers.append(text[begins : mark.start()])
                begins, opened = mark.end(), True
            continue
        if opened:
            thoughts.append(text[begins : mark.start()])
        elif not thoughts:  # what came before it is thought, its opening mark being in the prompt
            thoughts.append(text[: mark.start()])
            answers.clear()
        begins, opened = mark.end(), False
    if opened:
        return (text.strip() if "".join(answers).strip() else joined([*thoughts, text[begins:]])), ""
    answers.append(text[begins:])
    if not _LAYOUT.sub("", answers[0]):
        del answers[0]
    return (joined(thoughts), "".join(answers).strip()) if thoughts else ("", text)


def _closed_once_more(text: str) -> re.Match[str] | None:
    """A closing mark on its own line, after which no other comes, where more are closed than opened: one that ends a
    thought which names such marks."""
    marks = list(each_mark(text, _MARK))
    closings = sum(mark["close"] is not None for mark, _ in marks)
    if closings < 2 or 2 * closings <= len(marks):
        return None
    last, in_code = marks[-1]
    return last if last["close"] is not None and not in_code and _has_its_line(text, last) else None


def _unquoted(text: str) -> Iterator[re.Match[str]]:
    """The marks that are not in code. A closing mark without any opening one before it counts, unless in backticks.

    One that has its line closes no mark that is shown within a line, or in code.
    """
    seen_opening = thinking = False
    shown: tuple[bool, bool] | None = None
    """Of an opening mark that is only shown: whether it is in code, and whether it has its line."""
    alone = example = False
    for mark, in_code in each_mark(text, _MARK):
        closing, written = mark["close"] is not None, (in_code, _has_its_line(text, mark))
        if closing and shown is not None and not thinking:
            in_code = in_code or not ((written[1] and written != shown) or (alone and ends_a_thought(text, mark)))
        elif closing and not seen_opening:
            in_code = (in_code and "`" in rest_of_line(text, mark)) or is_named(text, mark)
        else:
            example = not (closing or thinking) and is_introduced(text, mark, after_another=example)
            in_code = in_code or example or is_named(text, mark)
        shown = written if in_code and not closing else None
        alone = not (closing or example) and is_named_alone(text, mark)
        seen_opening = seen_opening or not closing
        if (thinking and closing) or not in_code:
            thinking = not closing
            yield mark
