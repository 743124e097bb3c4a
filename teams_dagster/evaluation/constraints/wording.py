"""Each kind of constraint as people ask for it: several wordings, with values that a short answer can keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from teams_dagster.dataset.quality.constraints.constraint import Constraint, Kind
from teams_dagster.evaluation.constraints.verifying import Check, JsonKeys, Parts

if TYPE_CHECKING:
    import numpy as np

TIMES = {2: "twice", 3: "three times", 4: "four times"}
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
LANGUAGES = {"Russian": "Cyrillic", "Greek": "Greek", "Hindi": "Devanagari", "Korean": "Hangul", "Hebrew": "Hebrew"}


@dataclass(frozen=True)
class Asked:
    """A constraint in words."""

    check: Check
    sentence: str


@dataclass(frozen=True)
class Drawing:
    """What the values of a constraint are drawn from: a random stream, and the three words of the task."""

    stream: np.random.Generator
    words: tuple[str, ...]

    def of(self, choices: Sequence[str]) -> str:
        """One of `choices`."""
        return choices[int(self.stream.integers(len(choices)))]

    def number(self, low: int, high: int) -> int:
        """A number, both ends possible."""
        return int(self.stream.integers(low, high + 1))

    def asked(
        self,
        kind: Kind,
        wordings: Sequence[str],
        *,
        least: int = 0,
        most: int | None = None,
        texts: tuple[str, ...] = (),
        **values: object,
    ) -> Asked:
        """A constraint of `kind` in one of `wordings`, filled with `values`."""
        sentence = self.of(wordings).format(**values)
        return Asked(Constraint(kind, sentence, least, most, texts), sentence)


def _at_most_words(draw: Drawing) -> Asked:
    number = 10 * draw.number(4, 9)
    wordings = ["Keep it under {n} words.", "It has to stay below {n} words.", "Fewer than {n} words, please."]
    return draw.asked(Kind.WORDS, wordings, most=number - 1, n=number)


def _at_least_words(draw: Drawing) -> Asked:
    number = 10 * draw.number(3, 6)
    wordings = ["Write at least {n} words.", "It should be {n} words or more.", "I need no fewer than {n} words."]
    return draw.asked(Kind.WORDS, wordings, least=number, n=number)


def _words_between(draw: Drawing) -> Asked:
    low = 10 * draw.number(3, 5)
    wordings = ["Between {a} and {b} words, please.", "Aim for {a} to {b} words.", "It should have {a} to {b} words."]
    return draw.asked(Kind.WORDS, wordings, least=low, most=low + 30, a=low, b=low + 30)


def _sentences(draw: Drawing) -> Asked:
    number = draw.number(2, 5)
    wordings = ["Use exactly {n} sentences.", "{N} sentences, no more and no less.", "Say it in exactly {n} sentences."]
    name = NUMBERS[number]
    return draw.asked(Kind.SENTENCES, wordings, least=number, most=number, n=name, N=name.capitalize())


def _paragraphs(draw: Drawing) -> Asked:
    number = draw.number(2, 3)
    wordings = ["Split it into {n} paragraphs.", "Write {n} paragraphs.", "It should have {n} paragraphs."]
    return draw.asked(Kind.PARAGRAPHS, wordings, least=number, most=number, n=NUMBERS[number])


def _parts(draw: Drawing) -> Asked:
    number, mark = draw.number(2, 3), draw.of(["***", "---", "====="])
    said = f"Make it {NUMBERS[number]} parts and put a line with only {mark} between them."
    return Asked(Parts(mark, number), said)


def _bullets(draw: Drawing) -> Asked:
    number = draw.number(3, 5)
    wordings = ["Give me exactly {n} bullet points.", "I want {n} bullet points, no more.", "Use {n} bullet points."]
    return draw.asked(Kind.BULLETS, wordings, least=number, most=number, n=NUMBERS[number])


def _numbered(draw: Drawing) -> Asked:
    number = draw.number(3, 5)
    wordings = ["Make it a numbered list of {n} items.", "Number your points from 1 to {d}.", "{N} numbered points."]
    name = NUMBERS[number]
    return draw.asked(Kind.NUMBERED, wordings, least=number, most=number, n=name, d=number, N=name.capitalize())


def _json_keys(draw: Drawing) -> Asked:
    *most, last = (f'"{key}"' for key in draw.words)
    keys = f"{', '.join(most)} and {last}"
    said = draw.of(
        [
            "Answer with nothing but a JSON object with the keys {keys}.",
            "Return only JSON: one object with the keys {keys}.",
            "My program reads the answer, so give me just a JSON object that has the keys {keys}.",
        ]
    ).format(keys=keys)
    return Asked(JsonKeys(draw.words), said)


def _table(draw: Drawing) -> Asked:
    return draw.asked(Kind.TABLE, ["Show it as a Markdown table.", "Put it in a table.", "A table would be best."])


def _placeholders(draw: Drawing) -> Asked:
    number = draw.number(2, 3)
    wordings = [
        "Leave at least {n} placeholders in square brackets for me to fill in, such as [date].",
        "Where you don't know something, put a placeholder like [name]; I expect at least {n}.",
    ]
    return draw.asked(Kind.PLACEHOLDERS, wordings, least=number, n=NUMBERS[number])


def _highlights(draw: Drawing) -> Asked:
    number = draw.number(1, 3)
    name = {1: "one phrase"}.get(number) or f"{NUMBERS[number]} phrases"
    wordings = ["Highlight at least {n} with *asterisks*.", "Put at least {n} between asterisks, *like this*."]
    return draw.asked(Kind.HIGHLIGHTS, wordings, least=number, n=name)


def _includes(draw: Drawing) -> Asked:
    word = draw.words[0]
    wordings = ['The word "{w}" has to be in it.', 'Work in the word "{w}".', 'Please use the word "{w}" somewhere.']
    return draw.asked(Kind.INCLUDES, wordings, texts=(word,), w=word)


def _times(draw: Drawing) -> Asked:
    word, number = draw.words[1], draw.number(2, 4)
    wordings = ['Use the word "{w}" at least {t}.', 'The word "{w}" should come up {t} or more.']
    return draw.asked(Kind.TIMES, wordings, least=number, texts=(word,), w=word, t=TIMES[number])


def _excludes(draw: Drawing) -> Asked:
    word = draw.words[2]
    wordings = ['Don\'t use the word "{w}".', 'Avoid the word "{w}".', 'Whatever you do, leave out the word "{w}".']
    return draw.asked(Kind.EXCLUDES, wordings, texts=(word,), w=word)


def _uppercase(draw: Drawing) -> Asked:
    return draw.asked(Kind.UPPERCASE, ["Write everything in capital letters.", "ALL CAPS please, the whole answer."])


def _lowercase(draw: Drawing) -> Asked:
    return draw.asked(Kind.LOWERCASE, ["Write it all in lowercase.", "No capital letters at all, please."])


def _starts_with(draw: Drawing) -> Asked:
    text = draw.of(["First of all", "To begin with", "As a start", "Well then"])
    wordings = ['Start with the words "{t}".', 'The very first words must be "{t}".', 'Begin with "{t}".']
    return draw.asked(Kind.STARTS_WITH, wordings, texts=(text,), t=text)


def _ends_with(draw: Drawing) -> Asked:
    text = draw.of(["That is all for now", "Thank you for reading", "And that is it", "More next time"])
    wordings = ['Finish with the words "{t}" and nothing after them.', 'The last words should be "{t}".']
    return draw.asked(Kind.ENDS_WITH, wordings, texts=(text,), t=text)


def _no_commas(draw: Drawing) -> Asked:
    return draw.asked(Kind.NO_COMMAS, ["Don't use a single comma.", "No commas, please.", "Do it without any commas."])


def _no_digits(draw: Drawing) -> Asked:
    return draw.asked(Kind.NO_DIGITS, ["Don't use any digits.", "No digits anywhere; write numbers out as words."])


def _quoted(draw: Drawing) -> Asked:
    wordings = ["Put your whole answer in double quotation marks.", "Wrap all of it in double quotes."]
    return draw.asked(Kind.QUOTED, wordings)


def _title(draw: Drawing) -> Asked:
    wordings = ["Give it a title in double angle brackets, such as <<a title>>.", "Add a title, written <<like this>>."]
    return draw.asked(Kind.TITLE, wordings)


def _postscript(draw: Drawing) -> Asked:
    return draw.asked(Kind.POSTSCRIPT, ["Add a postscript that begins with P.S.", "End with a P.S."])


def _script(draw: Drawing) -> Asked:
    language = draw.of(list(LANGUAGES))
    wordings = ["Answer in {l}.", "I need it in {l}, please.", "Write it in {l} only."]
    return draw.asked(Kind.SCRIPT, wordings, texts=(LANGUAGES[language],), l=language)


TEMPLATES: dict[str, Callable[[Drawing], Asked]] = {
    "words_at_most": _at_most_words,
    "words_at_least": _at_least_words,
    "words_between": _words_between,
    "sentences": _sentences,
    "paragraphs": _paragraphs,
    "parts": _parts,
    "bullets": _bullets,
    "numbered": _numbered,
    "json_keys": _json_keys,
    "table": _table,
    "placeholders": _placeholders,
    "highlights": _highlights,
    "includes": _includes,
    "times": _times,
    "excludes": _excludes,
    "uppercase": _uppercase,
    "lowercase": _lowercase,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "no_commas": _no_commas,
    "no_digits": _no_digits,
    "quoted": _quoted,
    "title": _title,
    "postscript": _postscript,
    "script": _script,
}
"""The kinds of constraint that prompts ask for, by the name that scores go by."""
