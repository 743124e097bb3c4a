"""What a task file can name as its reward or as a metric: numbers that a text is worth, higher is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from teams_dagster.rlgf.overlap import Cider, rouge_l, rouge_n, words_of
from teams_dagster.rlgf.sentiment import positivity, vader

MeasureName = Literal[
    "positivity",
    "vader",
    "classifier",
    "coverage",
    "fluency",
    "concepts",
    "cider",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "summary",
]

Reads = Literal["concepts", "references", "perplexity", "classifier"]
"""What a measure looks at besides the text: what the task file gives with its prompt or for all of them, or the model
before training."""

NO_REFERENCES = Cider(())
HALF_FLUENT = 32.0
"""The perplexity of a text that is half fluent."""
ENDINGS = frozenset(["s", "es", "ies", "d", "ed", "ied", "r", "er", "ers", "ing", "n", "en"])
"""What a word may end in after a concept; irregular forms are not known."""


@dataclass(frozen=True)
class Judged:
    """A text with all that a measure may look at."""

    text: str
    concepts: tuple[str, ...] = ()
    """Words that it should have."""
    reference: str = ""
    """A text that would have been right."""
    perplexity: float = math.nan
    """exp of the mean negative log-probability of a token under the model before any training, after the prompt."""
    cider: Cider = NO_REFERENCES
    """Knows the references of the whole task."""
    likelihood: float = math.nan
    """Of the label that the task's classifier should give."""


@dataclass(frozen=True)
class Measure:
    """A number of one text, and what it looks at."""

    of: Callable[[Judged], float]
    reads: frozenset[Reads] = frozenset()


def coverage(text: str, concepts: Sequence[str]) -> float:
    """Share of `concepts` that `text` has, each once, in whatever regular form: run, runs, running; carry, carries."""
    words = words_of(text)
    return sum(any(_is_form(word, concept.lower()) for word in words) for concept in concepts) / len(concepts)


def _is_form(word: str, concept: str) -> bool:
    """An ending stands after the concept, after its last letter once more, or in place of a last e or y."""
    stems = [concept, concept + concept[-1], *([concept[:-1]] if concept[-1] in "ey" else [])]
    return word == concept or any(word.startswith(stem) and word.removeprefix(stem) in ENDINGS for stem in stems)


def fluency(perplexity: float) -> float:
    """Between 0 and 1: 32 / (32 + perplexity), where perplexity is of a text under the model before any training."""
    return HALF_FLUENT / (HALF_FLUENT + perplexity)


def brevity(text: str, reference: str) -> float:
    """1 for a text no longer than its reference, else exp(1 - n/m) with n words for the reference's m.

    The penalty that BLEU (Papineni et al. 2002) has for texts that are too short, turned around.
    """
    most = max(1, len(words_of(reference)))
    return math.exp(min(0.0, 1 - len(words_of(text)) / most))


def _summary(judged: Judged) -> float:
    """The mean of ROUGE-1, -2 and -L, less where the text is longer than the reference."""
    text, reference = judged.text, judged.reference
    rouge = (rouge_n(text, reference, 1) + rouge_n(text, reference, 2) + rouge_l(text, reference)) / 3
    return rouge * brevity(text, reference)


_REFERENCES: frozenset[Reads] = frozenset({"references"})

MEASURES: dict[MeasureName, Measure] = {
    "positivity": Measure(lambda judged: positivity(judged.text)),
    "vader": Measure(lambda judged: vader(judged.text)),
    "classifier": Measure(lambda judged: judged.likelihood, frozenset({"classifier"})),
    "coverage": Measure(lambda judged: coverage(judged.text, judged.concepts), frozenset({"concepts"})),
    "fluency": Measure(lambda judged: fluency(judged.perplexity), frozenset({"perplexity"})),
    "concepts": Measure(
        lambda judged: coverage(judged.text, judged.concepts) * fluency(judged.perplexity),
        frozenset({"concepts", "perplexity"}),
    ),
    "cider": Measure(lambda judged: judged.cider.score(judged.text, judged.reference), _REFERENCES),
    "rouge_1": Measure(lambda judged: rouge_n(judged.text, judged.reference, 1), _REFERENCES),
    "rouge_2": Measure(lambda judged: rouge_n(judged.text, judged.reference, 2), _REFERENCES),
    "rouge_l": Measure(lambda judged: rouge_l(judged.text, judged.reference), _REFERENCES),
    "summary": Measure(_summary, _REFERENCES),
}
"""Every measure by its name."""
