"""What students are scored on: people's own pairs and prompts with constraints, kept apart from all training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.pairs import load_pairs
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.choice import Question, draw_questions
from teams_dagster.evaluation.constraints.prompts import ConstrainedPrompt, constrained_prompts
from teams_dagster.evaluation.outcome.plan import OutcomePlan
from teams_dagster.instructions.near_duplicates import duplicate_index
from teams_dagster.instructions.ngrams import NgramIndex

SHARES_WORDS, NEAR_DUPLICATE, TOO_LONG = "shares_13_words", "near_duplicate", "too_long"


@dataclass(frozen=True)
class Items:
    """The items of a study, the same for every student."""

    pairs: tuple[Example, ...]
    questions: tuple[Question, ...]
    """Each pair's own answer among three of other people's."""
    prompts: tuple[ConstrainedPrompt, ...]
    left_out: Mapping[str, int]
    """How many pairs and prompts were left out, by why."""

    @property
    def distractors(self) -> tuple[Example, ...]:
        """Each question's instruction with each of the other people's responses."""
        return tuple(
            Example(question.example.sample_id, question.example.seed_id, question.example.instruction, response)
            for question in self.questions
            for response in question.choices[1:]
        )


def people_pairs(files: Sequence[Path]) -> list[Example]:
    """The pairs in `files`, a pair that comes twice once. Raises SeedFileError."""
    samples = [sample for file in files for sample in load_pairs(file, instead=False).samples]
    return list(
        {s.sample_id: Example(s.sample_id, s.seed_id, s.instruction, s.response or "") for s in samples}.values()
    )


class TrainingTexts:
    """Everything that a student of the study may be trained on, to keep items apart from it."""

    def __init__(self, rows: Iterable[Example]) -> None:
        known = {row.instruction.instruction_id: row for row in rows}
        self._index = duplicate_index()
        for key, row in known.items():
            self._index.add(key, row.instruction)
        self._words = NgramIndex(text for row in known.values() for text in _texts(row))

    def why_not_apart(self, instruction: Instruction, response: str = "") -> str | None:
        """Why an item must not be asked; None where it shares nothing with the rows."""
        parts = [part for part in (instruction.text, instruction.input) if part]
        if self._words.overlap(*parts) or (response and self._words.overlap(response)):
            return SHARES_WORDS
        return NEAR_DUPLICATE if self._index.matches(instruction) else None


def _texts(row: Example) -> list[str]:
    both = (row.instruction.text, row.instruction.input, "\n".join((row.instruction.text, row.instruction.input)))
    return [text for text in (*both, row.response) if text.strip()]


def choose_items(base: str, pairs: Sequence[Example], rows: Iterable[Example], plan: OutcomePlan) -> Items:
    """The items that share nothing with `rows` and fit the student at `base`, as many as the plan wants.

    A pair may be as long as a training row. Raises ValueError where none is left.
    """
    from teams_dagster.student.answering import draw_examples
    from teams_dagster.student.lengths import lengths_for

    texts, lengths = TrainingTexts(rows), lengths_for(base, ())
    left_out: Counter[str] = Counter()
    fitting: list[Example] = []
    for pair in pairs:
        why = texts.why_not_apart(pair.instruction, pair.response)
        if why is None and lengths.whole(pair) > plan.adapter.max_length:
            why = TOO_LONG
        left_out[f"pairs: {why}"] += why is not None
        if why is None:
            fitting.append(pair)
    drawn = draw_examples(fitting, plan.pairs, seed=plan.root_seed)
    prompts: list[ConstrainedPrompt] = []
    for prompt in constrained_prompts():
        why = texts.why_not_apart(prompt.instruction)
        left_out[f"prompts: {why}"] += why is not None
        if why is None:
            prompts.append(prompt)
    if not drawn or not prompts:
        raise ValueError(f"outcome_scores has {len(drawn)} pairs and {len(prompts)} prompts left: {dict(+left_out)}")
    limits = [plan.adapter.max_length - lengths.prompt(pair.instruction) for pair in drawn]
    questions = draw_questions(drawn, list(map(lengths.response, drawn)), seed=plan.root_seed, limits=limits)
    return Items(tuple(drawn), tuple(questions), tuple(prompts[: plan.prompts]), dict(+left_out))
