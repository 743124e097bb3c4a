"""What the policy sees of a state, as numbers: the text itself, the operations so far, the step.

Which operation still pays depends on the text: a question without numbers has other things to add than a table with
five conditions. The features are cheap, need no model and no training, and know no operation's rules:

- `words`: hashed words of the instruction (log-scaled counts, length 1). What it is about, and what is already in
  it. Hashing needs no vocabulary, so no word list is written here.
- `pairs`: hashed pairs of neighbouring words. Phrases say what single words do not ("at least", "step by step").
- `material`: hashed words of the input, apart from the instruction's, since operations treat it differently.
- `cues`: lengths and signs (see `CUES`), which a bag of words cannot say.
- `growth`: how much longer the text is than its seed, and whether the input is another one: what was added already.
- `history`: for each operation, how often it was accepted and refused in this episode, and which came last; and how
  many edits the chain holds. An operation that was just refused on this very text will be refused again.
- `progress`: the step. What is left to gain shrinks with it.

A sentence embedding takes the place of `words`, `pairs` and `material` where a model is configured (see `encoder`):
it says what a text is about in words that no training seed used.

Sizes and hashing are frozen under `FEATURE_VERSION`, which every checkpoint carries; what is a word in which script is
part of the version of the seeds that a policy is trained on (`core.words.segmentation_version`). No running normaliser:
every feature is scaled to order 1 by a fixed rule, so a resumed or loaded policy sees what it was trained on.
"""

from __future__ import annotations

import math
import re
import zlib
from functools import lru_cache
from itertools import pairwise

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation, Rewriting
from teams_dagster.core.words import length_in_words, word_count
from teams_dagster.core.words import words as words_of
from teams_dagster.environment.state import HORIZON, State

WORD_BUCKETS = 256
PAIR_BUCKETS = 128
MATERIAL_BUCKETS = 64
MAX_CHARACTERS = 8_000
"""Characters of a text that are read: what a feature costs is bounded, whatever the text."""

CUES: tuple[str, ...] = (
    "words",
    "sentences",
    "words_per_sentence",
    "commas",
    "other_separators",
    "question_marks",
    "ends_with_question",
    "digits",
    "numbers",
    "capitalised_words",
    "quotes",
    "brackets",
    "line_breaks",
    "list_markers",
    "code_signs",
    "table_signs",
    "repeated_words",
    "long_words",
    "has_input",
    "input_words",
    "input_lines",
    "input_digits",
    "input_structure",
)
"""Names of the cue features, in order."""

LEXICAL_SIZE = WORD_BUCKETS + PAIR_BUCKETS + MATERIAL_BUCKETS
CUE_SIZE = len(CUES)
GROWTH_SIZE = 2
HISTORY_SIZE = 4 * len(Operation) + 1
PROGRESS_SIZE = HORIZON + 1

_SENTENCE = re.compile(r"[.!?;:]+(?=\s|$)")
_NUMBER = re.compile(r"\d+")
_CAPITALISED = re.compile(r"\b[A-Z]")
_LIST_MARKER = re.compile(r"^[^\S\n]*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_CODE_SIGN = re.compile(r"[{}=<>`_]|\(\)")
_TABLE_SIGN = re.compile(r"[|\t]")
_INDEX: dict[Rewriting, int] = {operation: index for index, operation in enumerate(Operation)}

FEATURE_VERSION = content_hash(
    "features",
    2,
    WORD_BUCKETS,
    PAIR_BUCKETS,
    MATERIAL_BUCKETS,
    MAX_CHARACTERS,
    CUES,
    HORIZON,
    [operation.value for operation in Operation],
)
"""Changes with anything that changes a feature's meaning (raise the number when code does)."""


def progress(state: State) -> np.ndarray:
    """Which step it is: shape (PROGRESS_SIZE,), one 1."""
    vector = np.zeros(PROGRESS_SIZE)
    vector[min(state.step, HORIZON)] = 1.0
    return vector


def history(state: State) -> np.ndarray:
    """What was tried in this episode and what came of it: shape (HISTORY_SIZE,)."""
    vector = np.zeros(HISTORY_SIZE)
    counts = vector[:-1].reshape(4, len(Operation))
    for past in state.past:
        counts[0 if past.accepted else 1, _INDEX[past.operation]] += 0.5
    if state.past:
        last = state.past[-1]
        counts[2 if last.accepted else 3, _INDEX[last.operation]] = 1.0
    vector[-1] = (len(state.chain) - 1) / HORIZON
    return vector


def growth(state: State) -> np.ndarray:
    """How the text differs from its seed: shape (GROWTH_SIZE,)."""
    longer = _log(len(state.instruction.text)) - _log(len(state.seed.text))
    return np.array([longer, float(state.instruction.input != state.seed.input)])


@lru_cache(maxsize=8_192)
def words(instruction: Instruction) -> np.ndarray:
    """What the text is about: shape (LEXICAL_SIZE,), read-only."""
    text, material = _bounded(instruction)
    terms = words_of(text)
    pairs = [f"{first} {second}" for first, second in pairwise(terms)]
    return _frozen(
        _hashed(terms, WORD_BUCKETS),
        _hashed(pairs, PAIR_BUCKETS),
        _hashed(words_of(material), MATERIAL_BUCKETS),
    )


@lru_cache(maxsize=8_192)
def cues(instruction: Instruction) -> np.ndarray:
    """The features named in `CUES`: shape (CUE_SIZE,), read-only."""
    text, material = _bounded(instruction)
    return _frozen(_cues(text, words_of(text), material))


def _bounded(instruction: Instruction) -> tuple[str, str]:
    return instruction.text[:MAX_CHARACTERS], instruction.input[:MAX_CHARACTERS]


def _frozen(*parts: np.ndarray) -> np.ndarray:
    vector = np.concatenate(parts)
    vector.flags.writeable = False
    return vector


def _hashed(terms: list[str], buckets: int) -> np.ndarray:
    """log(1 + count) of the terms in each bucket, scaled to length 1; CRC-32, the same hash on every machine.

    Length 1, so that hundreds of rare words do not drown the few cues that mean the same in every text.
    """
    if not terms:
        return np.zeros(buckets)
    indices = [zlib.crc32(term.encode("utf-8", "surrogatepass")) % buckets for term in terms]
    bag = np.log1p(np.bincount(np.array(indices, dtype=np.int64), minlength=buckets))
    return bag / math.sqrt(float(bag @ bag))


def _cues(text: str, words: list[str], material: str) -> np.ndarray:
    """The features named in `CUES`."""
    count = word_count(words)
    sentences = len(_SENTENCE.findall(text)) or 1
    return np.array(
        [
            _log(count),
            _log(sentences),
            _log(count / sentences),
            _log(text.count(",")),
            _log(text.count(";") + text.count(":") + text.count("-")),
            _log(text.count("?")),
            float(text.rstrip().endswith("?")),
            _log(sum(character.isdigit() for character in text)),
            _log(len(_NUMBER.findall(text))),
            _log(len(_CAPITALISED.findall(text))),
            _log(text.count('"') + text.count("'")),
            _log(text.count("(") + text.count("[")),
            _log(text.count("\n")),
            _log(len(_LIST_MARKER.findall(text))),
            _log(len(_CODE_SIGN.findall(text))),
            _log(len(_TABLE_SIGN.findall(text))),
            1.0 - len(set(words)) / len(words) if words else 0.0,
            sum(len(word) > 8 for word in words) / len(words) if words else 0.0,
            float(bool(material.strip())),
            _log(length_in_words(material)) / 2,
            _log(material.count("\n")),
            _log(sum(character.isdigit() for character in material)) / 2,
            _log(len(_CODE_SIGN.findall(material)) + len(_TABLE_SIGN.findall(material)) + material.count('"')) / 2,
        ]
    )


def _log(value: float) -> float:
    """log(1 + value) / 2: counts of up to some hundreds are of order 1."""
    return math.log1p(value) / 2
