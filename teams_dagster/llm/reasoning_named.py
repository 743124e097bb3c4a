"""Whether a mark of a thought is one, or what a sentence, a program or a document speaks of: "it prints </think>"."""

from __future__ import annotations

import re
from collections.abc import Iterator

FENCE = "```"

_THINKS_ALOUD = re.compile(
    r"\s*(?:ok(?:ay)?\b|al(?:l )?right\b|hm+\b|let me\b|let's\b|so,|well,|wait\b|first,"
    r"|i (?:need|should|must|will|have)\b"
    r"|i'(?:ll|m)\b|we (?:need|should|must|have)\b|the (?:user|question|task) (?:wants|asks|is asking|needs|says)\b"
    r"|好的|嗯|用户|首先|我(?:需要|应该|要|得)|まず|うーん|ユーザー)",
    re.IGNORECASE,
)
"""How thoughts begin."""

_SPOKEN_OF = re.compile(
    r"\b(?:use[sd]?|using|in|inside|within|between|with|like|as|example|writes?|puts?|wrap(?:s|ped)?|emits?|says?|called"
    r"|tags?|elements?|blocks?|form(?:at)?|the|an?|before|after|until|is|are|was|by|to|on|of|for|at|up|from|and|or|prints?"
    r"|outputs?|closing|opening|adds?|sends?|forgets?|stray|marks?|tokens?) \Z",
    re.IGNORECASE,
)
"""What stands before marks that a sentence shows: "wrap it in <think>why</think> tags"."""

_SPOKEN_OF_CJK = re.compile(
    r"(?:[在和与與或及用以把将將是到从從像如叫为為先放写寫含有、「『“‘（]|输出|輸出|打印|标签|標籤|标记|使用|添加"
    r"|[はをがにでとの와과은는을를])\s?\Z"
)

_GOES_ON_CJK = re.compile(
    r"[，。、；：？！）」』”’]|\s?(?:之[间間后後前内內]|标[签记]|標[籤記]|表示|结束|結束|开始|開始|结尾|的|时|時|后面|後面|里|裡"
    r"|和|与|與|或|是(?!的)|来(?!自)|[とはをがでのや]|から|まで|タグ|태그|[와과은는을를이가]\s)"
)

_BETWEEN = re.compile(
    r"\s*(?:and|or|to|then|und|oder|bis|et|ou|y|o|e|и|или|до|en|og|och|i|và|ve|dan|[和与與或到及、とや와과]|から|以及"
    r"|[/,|&+–—-]|\.{3}|…)?\s*[`'\"*]*</[a-z_]{3,30}>",
    re.IGNORECASE,
)
"""What stands between two marks that are named together."""

_SHOWN_PAIR = re.compile(r"[^<>\n]{0,60}</[a-z_]{3,30}>(?: [a-z]|[,.;:)，。、；：？！）」』]|$)", re.IGNORECASE)

_PATTERN = re.compile(
    r"(?:\\[sSwWdDnrt]|[^\w<>])*[^\w\s<>](?:\\[sSwWdDnrt]|[^\w<>])*</[a-z_]{3,30}>(?!\s*\n|[A-Z])", re.IGNORECASE
)
"""What stands for any thought, as `...` and `(.*?)` do."""

_PLACEHOLDER = re.compile(
    r"\[\^?[^\]\n]{1,12}\][*+?]{0,2}</[a-z_]{3,30}>"
    r"|\s*[\[{(]?(?:your |the |my |step[ -]by[ -]step ){0,2}(?:reasoning|thinking|thoughts?|rationale|analysis)"
    r"(?: process| steps?)?(?: goes)?(?: here)?[\]})]?\s*(?:\.{3}|…)?\s*</[a-z_]{3,30}>",
    re.IGNORECASE,
)
"""What prompts, and regular expressions, write in the place of a thought."""

_LABELLED = re.compile(r"\s*\n[^<>\n]{1,40}: ?</[a-z_]{3,30}>\s*(?:\n|\Z)", re.IGNORECASE)
"""After an opening mark with a label before it ("start: <think>"), a closing mark with another."""

_SUBJECT = re.compile(
    r" (?:is|are|was|were|marks?|opens?|closes?|ends?|begins?|starts?|means|stands?|comes?|and|or|tags?|elements?"
    r"|blocks?|sections?)\b|:| \||\s?(?:标签|標籤|标记|標記|タグ|태그)"
)
"""What follows a mark that a sentence begins with."""

_ELEMENT = re.compile(r"\s*<(?P<tag>[a-z_]{3,30})\b[^<>\n]*>[^<>\n]{0,200}</(?P=tag)>")

_CLOSING = re.compile(r"</[a-z_]{3,30}>")

_INTRODUCES = re.compile(
    r"(?:\S[ \t]*[:：][*_\"']*|\b(?:such as|like(?: this)?|as follows|for example|e\.g\.,?|namely))"
    r"\s*(?:[-*•]\s|\d{1,2}[.)]\s)?\s*\Z"
)
"""A colon, or words like it, before an example."""

_IN_A_BLOCK = re.compile(r"(?:^|\n)(?P<layout>[ \t]*>[ \t]?| {4,}|\t)(?P<before>[^\n<]*)\Z")
"""A line of code that is set in, or of a quotation."""

_WITHIN_A_TAG = re.compile(r"<(?!/?(?:think|answer|response|output)\b)/?[a-z][\w:-]*[^<>]*>\s*\Z", re.IGNORECASE)

_BEFORE_A_TAG = re.compile(
    r"[^<>]{0,500}</[a-z_]{3,30}>\s*</?(?!(?:think|answer|response|output)\b)[a-z]", re.IGNORECASE
)

_PUNCTUATED = re.compile(r"[,.;:)\]?!…]+(?:[\s\"'”’)`*]|\Z)|\\[nrt]")
"""How a sentence goes on, or ends, after a mark; nothing begins like that."""

_COMPOUND = re.compile(r"[-\u2010\u2011][^\W\d]")
"""As German makes words: `<think>-Block`."""

_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "(": ")", "「": "」", "『": "』", "（": "）"}

_WHOLE_SENTENCE = re.compile(r"\w[)\"'”」]?\s?[.!?。！？]\Z")

_LONGEST_WORD = 12

_ONE_SENTENCE = 200
"""A text before a mark that is no longer, and has no line breaks, is a sentence that goes on after it in small letters:
thoughts are longer, and their answers do not begin so."""


def each_mark(text: str, form: re.Pattern[str]) -> Iterator[tuple[re.Match[str], bool]]:
    """Every mark, and whether it is in a fenced block or between backticks on its line. Reads the text once."""
    fences = ticks = at = 0
    for mark in form.finditer(text):
        before = text[at : mark.start()]
        line_begins = before.rfind("\n") + 1
        fences += before.count(FENCE) + before.count("~~~")
        ticks = before.count("`", line_begins) + (0 if line_begins else ticks)
        at = mark.end()
        yield mark, fences % 2 == 1 or ticks % 2 == 1


def rest_of_line(text: str, mark: re.Match[str]) -> str:
    """What follows a mark on its line."""
    ends = text.find("\n", mark.end())
    return text[mark.end() : len(text) if ends < 0 else ends]


def is_named(text: str, mark: re.Match[str]) -> bool:
    """Whether a sentence speaks of a mark: "it closes with </think> and goes on"."""
    before = text[max(0, mark.start() - 80) : mark.start()].rstrip("*_")
    after = text[mark.end() : mark.end() + 600].lstrip("*_")
    closing = mark[0].startswith("</") or mark[0].startswith("[/")
    if before and _QUOTES.get(before[-1]) == after[:1]:
        return True
    if before and _COMPOUND.match(after) is not None:
        return True
    if before.rstrip().endswith("|") and after.lstrip(" ").startswith("|"):
        return True
    if after.startswith("</") and _ends_in_a_tag(before):
        return not after.lower().startswith("</think>")
    if closing:
        return _closing_is_named(text, mark.start(), before, after)
    return (is_in_a_sentence(before) and (_goes_on(after) or _BETWEEN.match(after) is not None)) or _is_shown(
        before, after
    )


def ends_a_thought(text: str, mark: re.Match[str]) -> bool:
    """Whether a closing mark follows a whole sentence, and something else follows that: none that is shown does."""
    before = text[max(0, mark.start() - _LONGEST_WORD) : mark.start()]
    after = text[mark.end() : mark.end() + 600]
    return (
        _WHOLE_SENTENCE.search(before.rstrip(" ")) is not None
        and bool(after.strip())
        and not after.lstrip().startswith("<")
        and not _goes_on(after)
    )


def is_named_alone(text: str, mark: re.Match[str]) -> bool:
    """Whether what follows an opening mark is no content: it is spoken of, and is no example of a whole thought."""
    return not text[mark.end() : mark.end() + 1].isalnum()


def is_within_quotes(before: str, after: str) -> bool:
    """Whether a quotation, in a text that has more, begins right here and ends on its line."""
    quote = _QUOTES.get(before[-1:])
    return quote is not None and bool(before[:-1].strip()) and quote in after.partition("\n")[0]


def goes_on_with_a_sign(after: str) -> bool:
    """Whether a sign follows a mark with which no text begins: a comma, a full stop."""
    return _PUNCTUATED.match(after) is not None


def begins_a_sentence(after: str) -> bool:
    """Whether a sentence is about the mark that it begins with: what is `after` the mark goes on with a verb."""
    return _SUBJECT.match(after) is not None


def is_shown_first(text: str) -> bool:
    """Whether a text begins with a tag that it shows: its sentence is about that, or it quotes more than a thought."""
    found = _ELEMENT.match(text)
    if found is not None and begins_a_sentence(text[found.end() :]):
        return True
    opening = re.search(r"<[a-z_]{3,30}\b[^<>\n]*>", text)
    return opening is not None and not text[: opening.start()].strip("> \t\n") and _is_in_a_block(text, opening)


def is_introduced(text: str, mark: re.Match[str], *, after_another: bool = False) -> bool:
    """Whether an opening mark that is closed begins an example: after a colon, in a quotation, in code; or a further
    one."""
    if text.find("</", mark.end()) < 0:
        return False
    before = text[max(0, mark.start() - 80) : mark.start()]
    return after_another or _INTRODUCES.search(before) is not None or _is_in_a_block(text, mark)


def _is_in_a_block(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark's lines, set in or quoted, go on after the thought: what is shown is more than that."""
    line = _IN_A_BLOCK.search(text[max(0, mark.start() - 80) : mark.start()])
    closing = None if line is None else _CLOSING.search(text, mark.end())
    if line is None or closing is None:
        return False
    after = text[closing.end() : closing.end() + 400].lstrip(" \t").removeprefix("\n")
    return after.startswith(line["layout"]) and bool(after.partition("\n")[0].strip("> \t"))


def _closing_is_named(text: str, at: int, before: str, after: str) -> bool:
    """Whether a sentence speaks of a closing mark `at` a place of `text`, which nothing opens.

    `before` and `after` are what is around it: any words may stand before one that ends a thought.
    """
    if not before.strip() and not text[:at].strip("*_ \n\t"):
        return _SUBJECT.match(after) is not None
    spoken_of = _SPOKEN_OF.search(before[-_LONGEST_WORD:]) is not None
    if _PUNCTUATED.match(after) is not None:
        return True
    if not after.strip():
        return (spoken_of or before.endswith(": ")) and "\n" not in after
    if _is_cjk(before[-1:]) or _is_cjk(after[:1]):
        named = (_SPOKEN_OF_CJK.search(before) is not None) + (_GOES_ON_CJK.match(after) is not None)
        return named > (_THINKS_ALOUD.match(text, 0, at) is not None)
    if not is_in_a_sentence(before) or not _goes_on(after):
        return False
    alone = at <= _ONE_SENTENCE and "\n" not in text[:at].strip() and _THINKS_ALOUD.match(text, 0, at) is None
    return spoken_of or alone


def is_in_a_sentence(before: str) -> bool:
    """Whether a word, and no end of a sentence, is before a mark."""
    last = before.rstrip(" ")[-1:]
    if _is_cjk(last):
        return True
    return before.endswith(" ") and (last == "," or (last.isalnum() and not last.isupper()))


def _goes_on(after: str) -> bool:
    """Whether a sentence goes on after a mark."""
    return _PUNCTUATED.match(after) is not None or (after.startswith(" ") and after[1:2].islower())


def _is_cjk(letter: str) -> bool:
    """Whether a letter is of a script that writes words without capitals: Han, Kana, Hangul."""
    return bool(letter) and ("\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff" or "가" <= letter <= "힣")


def _ends_in_a_tag(before: str) -> bool:
    return before.rstrip().endswith(">") and _WITHIN_A_TAG.match(before, before.rfind("<")) is not None


def _is_shown(before: str, after: str) -> bool:
    """Whether an opening mark begins what a sentence, a program or a document shows: "in <think>why</think> tags"."""
    if any(form.match(after) is not None for form in (_SUBJECT, _PATTERN, _PLACEHOLDER)):
        return True
    if before.strip() and (goes_on_with_a_sign(after) or (before.endswith(": ") and _LABELLED.match(after))):
        return True
    if _ends_in_a_tag(before) and _BEFORE_A_TAG.match(after) is not None:
        return True
    if _is_quoted(before, after):
        return True
    if _is_cjk(before.rstrip(" ")[-1:]):
        forms = (_BETWEEN, _GOES_ON_CJK, _SHOWN_PAIR)
        return _SPOKEN_OF_CJK.search(before) is not None or any(form.match(after) for form in forms)
    return _SPOKEN_OF.search(before[-_LONGEST_WORD:]) is not None and _SHOWN_PAIR.match(after) is not None


def _is_quoted(before: str, after: str) -> bool:
    """Whether a quotation begins with an opening mark and ends on its line."""
    quote = re.escape(_QUOTES.get(before[-1:], ""))
    if not quote:
        return False
    if not before[:-1].strip():  # a whole reply in quotes is no quotation
        return re.match(rf"[^<>\n]{{0,80}}</[a-z_]{{3,30}}>{quote}", after, re.IGNORECASE) is not None
    return re.match(rf"[^<>\n]{{0,80}}(?:</[a-z_]{{3,30}}>[^\n]{{0,40}})?{quote}", after, re.IGNORECASE) is not None
