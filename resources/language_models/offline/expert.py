"""Answers by rule: what can be computed or read from the material is, the rest is a short structured text.

An answer uses the instruction's own topic words in sentences of `data/answers.toml`, so its vocabulary is bounded
apart from copied words. It honours what it can of the requirements: bullets, numbers of items, word limits, steps,
and the aspects a text asks for. What it cannot know it refuses with an apology. Common requests for code get a
short program, others a plan.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from resources.language_models.offline.arithmetic import calculate, figures
from resources.language_models.offline.clauses import held_clauses
from resources.language_models.offline.kinds import Kind, Reading, read
from resources.language_models.offline.lexicon import choose, draw, lexicon, read_data
from resources.language_models.offline.material import choose_label, entries, labels, mentions, values
from resources.language_models.offline.topics import Topic, topic_of
from teams_dagster.core.instruction import Instruction

_SNIPPETS = (
    (r"\bsort", "def sort_values(values):\n    return sorted(values, reverse={reverse})"),
    (r"\bsecond largest", "def second_largest(values):\n    return sorted(set(values))[-2]"),
    (r"\b(largest|maximum|biggest)", "def largest(values):\n    return max(values)"),
    (r"\b(count|occurrences?)", "def count_value(value, values):\n    return sum(item == value for item in values)"),
    (r"\b(sum|total)", "def total(first, last):\n    return sum(range(first, last + 1))"),
    (r"\breverse", "def reverse(values):\n    return values[::-1]"),
    (r"\bpalindrome", "def is_palindrome(text):\n    return text == text[::-1]"),
    (r"\bfactorial", "def factorial(number):\n    return 1 if number < 2 else number * factorial(number - 1)"),
    (r"\bprime", "def is_prime(number):\n    return number > 1 and all(number % n for n in range(2, number))"),
    (r"\beven\b", "def even(values):\n    return [value for value in values if value % 2 == 0]"),
)


_OTHER_LANGUAGE = re.compile(
    r"\b(java|javascript|sql|html|css|bash|haskell|rust|c|go|julia|lua|regex|regular expression|script)\b",
    re.IGNORECASE,
)


_LARGE_FIRST = re.compile(r"\b(descending|large to small|largest first|reverse)\b", re.IGNORECASE)


def snippet(text: str, topic: Topic) -> list[str]:
    """The lines of a Python function where a rule knows one that fits, or else of a plan for the code."""
    if not _OTHER_LANGUAGE.search(text):
        for pattern, code in _SNIPPETS:
            if re.search(pattern, text, re.IGNORECASE):
                return [
                    code.format(reverse=bool(_LARGE_FIRST.search(text))),
                    f"The function works on {topic.first} and returns a new value without changing what it is handed.",
                ]
    return [
        f"A plan for {topic.main}:",
        f"1. Read {topic.first} and check that it is complete.",
        f"2. Go through it once and handle {topic.second} in a small function.",
        "3. Return the result and test it with an easy case and an empty one.",
    ]


MIN_WORDS = 20
MAX_WORDS = 90
MAX_ITEMS = 8
MAX_ASPECTS = 3
_DEFAULT_ITEMS = 4

_LIVE = re.compile(
    r"\b(current (price|value|weather|time|president|news)|right now|today's|latest news|live (score|data)|ssn"
    r"|social security|(phone number|address) of (this|the) person|what time is it)\b",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"\b(the|this|these|following|given|below) (\w+ )?(paragraph|passage|sentences?|email|text|document|article"
    r"|table|list|code|review|notes|log|material|input|words?|pairs?)\b(?! (of|about|that|with|for|to|on)\b)",
    re.IGNORECASE,
)
_NEEDS_INPUT = frozenset({Kind.CLASSIFICATION, Kind.EXTRACTION, Kind.TRANSFORM})
_TRANSLATE = re.compile(r"\b(translate|render)\b", re.IGNORECASE)
_LIMIT = re.compile(
    r"\b(?:under|at most|no more than|fewer than|within|between \d+ and|about|around) (\d+) words", re.IGNORECASE
)
_COUNT = re.compile(r"\b(two|three|four|five|six|seven|eight|\d{1,2})\b", re.IGNORECASE)
_COUNTS = {word: number for number, word in enumerate("two three four five six seven eight".split(), 2)}
_BULLETS = re.compile(r"\bbullets?\b|\bbullet points?\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\bnumbered\b|\bstep by step\b|\bstep-by-step\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“]([^\"”]{8,})[\"”]")
_SORT = re.compile(r"\b(sort|sorted|alphabet\w*|ascending\w*|descending\w*)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_FORMAL = {"you're": "you are", "can't": "cannot", "don't": "do not", "won't": "will not", "it's": "it is",
           "isn't": "is not", "get": "receive", "sorry": "apologetic", "ok": "agreed"}  # fmt: skip
_SPELLING = {"recieved": "received", "definately": "definitely", "teh": "the",
             "untill": "until", "wich": "which", "occured": "occurred", "hospical": "hospital"}  # fmt: skip


def respond(instruction: Instruction, replica: int) -> str:
    """The answer to `instruction`: 20 to 90 words, or a short refusal."""
    reading = read(instruction.text, instruction.input)
    topic = topic_of(instruction.text)
    refusal = _refusal(reading, topic)
    if refusal is not None:
        return refusal
    lines = _answer(reading, topic, replica)
    lines += _aspects(reading, topic)
    return _arrange(reading, lines)


def _refusal(reading: Reading, topic: Topic) -> str | None:
    if _LIVE.search(reading.text):
        return f"Sorry, I have no live or personal data, so I cannot say anything reliable about {topic.main}."
    if not reading.input and reading.kind in _NEEDS_INPUT and _MISSING.search(reading.text) and ":" not in reading.text:
        return f"Sorry, the material is missing: please add what I should work on for {topic.main}."
    if _TRANSLATE.search(reading.text) and reading.kind is Kind.TRANSFORM:
        return "Sorry, I cannot translate: my rules know only English."
    return None


def _answer(reading: Reading, topic: Topic, replica: int) -> list[str]:
    """The lines of an answer before its requirements are met."""
    match reading.kind:
        case Kind.ARITHMETIC:
            return _arithmetic(reading, topic)
        case Kind.CLASSIFICATION:
            return _classification(reading)
        case Kind.EXTRACTION:
            return _extraction(reading, topic, replica)
        case Kind.TRANSFORM:
            return _transform(reading, topic, replica)
        case Kind.CODE:
            return snippet(reading.text, topic)
        case Kind.LIST | Kind.PLAN:
            return _items(reading, topic, replica)
        case Kind.WRITING:
            return _fill(_sentences()["writing"][_form_group(reading.form)], topic)
        case _:
            return _paragraph(reading, topic, replica)


def _arithmetic(reading: Reading, topic: Topic) -> list[str]:
    found = calculate(reading.text, reading.input)
    if found is not None:
        return [*found.steps, f"The result for {topic.main} is {found.result}."]
    numbers = ", ".join(f"{number:g}" for number in figures(f"{reading.text}\n{reading.input}"))
    return [
        f"The figures for {topic.main} are {numbers}." if numbers else f"No figures are stated for {topic.main}.",
        f"First find the value for one unit of {topic.first}.",
        "Then multiply or divide by the number that is asked for, and check the unit.",
        "No rule of mine covers the rest, so the final figure stays open.",
    ]


def _classification(reading: Reading) -> list[str]:
    label, evidence = choose_label(labels(reading.text, reading.input), reading.input or reading.text)
    if not evidence:
        return [
            f"Answer: {label}.",
            "No word in the material speaks clearly for another answer, so this is a weak choice.",
        ]
    quoted = ", ".join(f"'{word}'" for word in evidence)
    return [f"Answer: {label}.", f"The words {quoted} in the material point to it.", "Nothing else outweighs them."]


def _extraction(reading: Reading, topic: Topic, replica: int) -> list[str]:
    if not reading.input:
        return _paragraph(reading, topic, replica)
    if _SORT.search(reading.text) and entries(reading.input):
        return _transform(reading, topic, replica)
    found = values(reading.input) or mentions(reading.text, reading.input)
    if not found:
        return [f"The material names nothing that fits {topic.main}.", "It holds no dates, numbers or names to report."]
    lowered = reading.text.lower()
    asked = {name: hits for name, hits in found.items() if name.lower().rstrip("s") in lowered} or found
    return [f"{name}: {'; '.join(hits[:6])}" for name, hits in list(asked.items())[:5]]


def _transform(reading: Reading, topic: Topic, replica: int) -> list[str]:
    quoted = _QUOTED.search(reading.text)
    source = reading.input or (quoted.group(1) if quoted else "")
    if not source:
        return _paragraph(reading, topic, replica)
    listed = entries(reading.input)
    if listed and _SORT.search(reading.text):
        return [f"In order: {', '.join(_sorted(listed))}.", f"These are all {len(listed)} entries of the list."]
    if found := values(source):
        return [f"{name}: {', '.join(hits[:6])}." for name, hits in list(found.items())[:5]]
    sentences = _SENTENCE_END.split(" ".join(source.split()))
    if re.search(r"\b(summari[sz]e|sum up|shorten|simplify)\b", reading.text, re.IGNORECASE):
        return [f"In short: {' '.join(sentences[0].split()[:25])}", f"It has {len(sentences)} sentences in full."]
    text = " ".join(sentences[:4])
    for wrong, right in (_SPELLING | _FORMAL).items():
        text = re.sub(rf"(?<!\w){re.escape(wrong.strip())}(?!\w)", right.strip(), text)
    return ["Here is the new version:", text[:1].upper() + text[1:]]


def _sorted(listed: list[str]) -> list[str]:
    """Numbers by value, anything else by the alphabet."""
    try:
        return sorted(listed, key=float)
    except ValueError:
        return sorted(listed, key=str.casefold)


def _items(reading: Reading, topic: Topic, replica: int) -> list[str]:
    """An opening line and the items: as many as the instruction asks for, up to `MAX_ITEMS`."""
    kind = reading.kind.value
    bank = _sentences()["items"][kind]
    counted = _COUNT.search(reading.text) if reading.kind is Kind.LIST else None
    word = counted.group(1).lower() if counted else ""
    count = min(int(word) if word.isdigit() else _COUNTS.get(word, _DEFAULT_ITEMS), MAX_ITEMS, len(bank))
    start = draw(len(bank), "items", reading.text, replica) if reading.kind is Kind.LIST else 0
    chosen = _fill([bank[(start + index) % len(bank)] for index in range(max(count, 2))], topic)
    marks = ["- "] * len(chosen) if reading.kind is Kind.LIST else [f"{n}. " for n in range(1, len(chosen) + 1)]
    opening = choose(tuple(_sentences()["opening"][kind]), "opening", reading.text, replica)
    return [*_fill([opening], topic), *(mark + item for mark, item in zip(marks, chosen, strict=True))]


def _paragraph(reading: Reading, topic: Topic, replica: int) -> list[str]:
    kind = reading.kind.value if reading.kind in (Kind.EXPLANATION, Kind.FACT) else "other"
    body = _sentences()["body"].get(kind) or _sentences()["body"][reading.shape]
    opening = choose(tuple(_sentences()["opening"][kind]), "opening", reading.text, replica)
    lines = _fill([opening, *body], topic)
    if reading.input:
        lines.append(f"The material begins with '{' '.join(reading.input.split()[:5])}'.")
    return lines


def _aspects(reading: Reading, topic: Topic) -> list[str]:
    """A sentence for each aspect that the instruction asks for and that the answer can meet by saying so."""
    known = _sentences()["aspects"]
    wanted = [
        known[clause.aspect]
        for operation in lexicon().clauses
        for clause in held_clauses(operation, reading)
        if clause.aspect in known
    ]
    return _fill(wanted[:MAX_ASPECTS], topic)


def _arrange(reading: Reading, lines: Sequence[str]) -> str:
    """The lines as a list or a paragraph, cut at a whole line to the word limit that the text states."""
    stated = _LIMIT.search(reading.text)
    limit = min(int(stated.group(1)), MAX_WORDS) if stated else MAX_WORDS
    kept: list[str] = []
    words = sum(len(line.split()) for line in lines)
    closings = _sentences()["closings"] if words < min(MIN_WORDS, limit) else []
    for line in [*lines, *closings[: 1 if words > MIN_WORDS // 2 else 2]]:
        if kept and sum(len(kept_line.split()) for kept_line in kept) + len(line.split()) > limit:
            break
        kept.append(line if len(line.split()) <= limit else " ".join(line.split()[:limit]))
    if _BULLETS.search(reading.text) and not kept[-1].startswith("- "):
        return "\n".join(f"- {line}" for line in kept)
    if _NUMBERED.search(reading.text) and reading.kind not in (Kind.LIST, Kind.PLAN, Kind.CODE):
        return "\n".join(f"{number}. {line}" for number, line in enumerate(kept, 1))
    separate = reading.kind in (Kind.LIST, Kind.PLAN, Kind.CODE, Kind.EXTRACTION) or reading.form in ("poem", "haiku")
    return ("\n" if separate else " ").join(kept)


def _form_group(form: str) -> str:
    words = set(form.replace("-", "").split())
    for group, members in (
        ("letter", {"letter", "email", "note", "message", "toast", "speech"}),
        ("poem", {"poem", "haiku", "limerick", "song"}),
        ("story", {"story", "tale", "scene", "dialogue", "conversation", "entry"}),
        ("joke", {"joke", "riddle"}),
        ("title", {"slogan", "metaphor", "proverb"}),
    ):
        if words & members:
            return group
    return "prose"


def _fill(sentences: Sequence[str], topic: Topic) -> list[str]:
    filled = [sentence.format(main=topic.main, a=topic.first, b=topic.second) for sentence in sentences]
    return [sentence[:1].upper() + sentence[1:] for sentence in filled]


@cache
def _sentences() -> dict[str, Any]:
    return read_data("answers.toml")
