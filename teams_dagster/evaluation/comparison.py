"""Scores the base and its adapters: held-out loss and response choice.

Each (model, instruction, response) is scored once, whatever asks for it; models are loaded one after another.
Held-out loss is what a model pays, per response token, for the answers of seeds it never saw. Beside it stands a model
that knows nothing but how often each token occurs in training responses (unigram).
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.choice import (
    CHANCE,
    Question,
    choice_accuracy,
    credit,
    draw_questions,
    shortest_answer,
)
from teams_dagster.evaluation.scores import CHOICE, HELD_OUT, ModelVersions, Score
from teams_dagster.evaluation.statistics import Estimate, clustered_ratio
from teams_dagster.student.chat import encode_example, encode_response
from teams_dagster.student.lengths import Lengths, lengths_for
from teams_dagster.student.loading import Student, load_adapter, load_student
from teams_dagster.student.scoring import ResponseScore, score_encoded


@dataclass(frozen=True)
class Unigram:
    """A model that neither reads the instruction nor the tokens before."""

    log_probabilities: np.ndarray
    """Of each token of the vocabulary, in nats; shape (vocabulary,)."""

    def score(self, response: Sequence[int]) -> ResponseScore:
        """How probable it finds the tokens of a response, end of sequence included."""
        return ResponseScore(float(self.log_probabilities[np.asarray(response, dtype=int)].sum()), len(response))


def fit_unigram(responses: Iterable[Sequence[int]], vocabulary: int) -> Unigram:
    """Frequencies in `responses` (token ids), each token counted once more, so that none is impossible."""
    counts = np.ones(vocabulary)
    for response in responses:
        np.add.at(counts, np.asarray(response, dtype=int), 1)
    return Unigram(np.log(counts / counts.sum()))


def loss_per_token(scores: Sequence[ResponseScore], seeds: Sequence[str]) -> Estimate:
    """Nats per response token (end of sequence included) over all examples, clustered by seed.

    `scores` and `seeds` run over the same examples.
    """
    return clustered_ratio([-s.log_probability for s in scores], [s.tokens for s in scores], seeds)


def loss_difference(
    scores: Sequence[ResponseScore], reference: Sequence[ResponseScore], seeds: Sequence[str]
) -> Estimate:
    """Loss per token of `scores` minus that of `reference`, paired example by example; negative is better."""
    paired = [r.log_probability - s.log_probability for s, r in zip(scores, reference, strict=True)]
    return clustered_ratio(paired, [s.tokens for s in scores], seeds)


NEUTRAL = Instruction("Answer.")
"""The prompt that a response's own ease is measured with."""

Pair = tuple[str, str]
"""What a score belongs to: instruction id and response."""
ScoresByPair = dict[Pair, ResponseScore]
UNIGRAM = "unigram"
REFERENCES = (UNIGRAM, "base", "lora")
"""Each model is compared with the references before it."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """Rows for `evaluation_scores`, and what they rest on."""

    scores: tuple[Score, ...]
    questions: tuple[Question, ...]
    too_long: tuple[str, ...]
    """Held-out sample ids left out because they exceed the base's context."""


def evaluate_models(
    base: str | Path,
    adapters: Mapping[str, Path],
    train: Iterable[Example],
    held_out: Sequence[Example],
    versions: ModelVersions,
    *,
    seed: int,
    pairs: Sequence[tuple[str, str]] = (),
    progress: Progress = lambda _: None,
) -> Evaluation:
    """Held-out loss and response choice of the base and each of `adapters` (`lora`, `qlora`), differences paired.

    `train` is what the adapters were trained on: a unigram model is fitted to its responses, to be compared with.
    Raises ValueError when no held-out example fits the base's context, or too few seeds are held out to choose among.
    """
    student = load_student(base)
    lengths = lengths_for(base, adapters.values())
    fitting, too_long = _fitting(lengths, student.context, held_out)
    if not fitting:
        raise ValueError(f"none of {len(held_out)} held-out examples fits the context of {student.context} tokens")
    questions = _questions(lengths, student.context, fitting, seed)
    choices = [_with_response(q.example, response) for q in questions for response in q.choices]
    wanted = [*fitting, *choices, *map(_without_instruction, choices)]
    unigram = _unigram_scores(student, train, fitting)
    by_model = _score_models(student, base, adapters, wanted, progress)
    rows = [
        *_heldout_rows({UNIGRAM: unigram, **by_model}, fitting, versions),
        *_choice_rows(by_model, questions, versions),
        *_pair_rows(by_model, fitting, questions, versions, pairs),
        *_baseline_rows(questions, student.model.config.get_text_config().vocab_size, versions),
    ]
    return Evaluation(tuple(rows), tuple(questions), tuple(too_long))


def _pair(example: Example) -> Pair:
    return example.instruction.instruction_id, example.response


def _with_response(example: Example, response: str) -> Example:
    return Example(example.sample_id, example.seed_id, example.instruction, response)


def _without_instruction(example: Example) -> Example:
    """The same response after a prompt that asks nothing in particular."""
    return Example(example.sample_id, example.seed_id, NEUTRAL, example.response)


def _fitting(lengths: Lengths, context: int, examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """The examples within the context under every template, and the sample ids of the others."""
    fits = [lengths.whole(example) <= context for example in examples]
    kept = [example for example, ok in zip(examples, fits, strict=True) if ok]
    return kept, [example.sample_id for example, ok in zip(examples, fits, strict=True) if not ok]


def _questions(lengths: Lengths, context: int, held_out: Sequence[Example], seed: int) -> list[Question]:
    neutral = lengths.prompt(NEUTRAL)
    limits = [context - max(lengths.prompt(example.instruction), neutral) for example in held_out]
    return draw_questions(held_out, list(map(lengths.response, held_out)), seed=seed, limits=limits)


def _unigram_scores(student: Student, train: Iterable[Example], held_out: Sequence[Example]) -> ScoresByPair:
    def tokens(example: Example) -> list[int]:
        return encode_response(student.tokenizer, example.instruction, example.response)

    unigram = fit_unigram(map(tokens, train), student.model.config.get_text_config().vocab_size)
    return {_pair(example): unigram.score(tokens(example)) for example in held_out}


def _score_models(
    base_student: Student,
    base: str | Path,
    adapters: Mapping[str, Path],
    examples: Sequence[Example],
    progress: Progress,
) -> dict[str, ScoresByPair]:
    """The scores of `examples` under every model; one model in memory at a time."""
    wanted = {_pair(example): example for example in examples}
    scores: dict[str, ScoresByPair] = {}
    for name, folder in {"base": None, **adapters}.items():
        student = base_student if folder is None else load_adapter(base, folder)
        encoded = [encode_example(student.tokenizer, e, student.context) for e in wanted.values()]

        def report(line: str, model: str = name) -> None:
            progress(f"{model}: {line}")

        scores[name] = dict(zip(wanted, score_encoded(student, encoded, progress=report), strict=True))
        del student
        gc.collect()
    return scores


def _heldout_rows(
    by_model: Mapping[str, ScoresByPair], held_out: Sequence[Example], versions: ModelVersions
) -> list[Score]:
    seeds = [example.seed_id for example in held_out]
    scores = {model: [known[_pair(e)] for e in held_out] for model, known in by_model.items()}
    rows: list[Score] = []
    for model, own in scores.items():
        rows.append(versions.score(model, HELD_OUT, "heldout_loss", loss_per_token(own, seeds)))
        for other in _references_of(model, scores):
            difference = loss_difference(own, scores[other], seeds)
            rows.append(versions.score(model, HELD_OUT, f"heldout_loss_vs_{other}", difference))
    return rows


def _references_of(model: str, there: Container[str]) -> Iterator[str]:
    """What a model is compared with, of those that were scored."""
    return (other for other in takewhile(lambda reference: reference != model, REFERENCES) if other in there)


def _choice_rows(
    by_model: Mapping[str, ScoresByPair], questions: Sequence[Question], versions: ModelVersions
) -> list[Score]:
    rows: list[Score] = []
    for metric, fit in CHOICES.items():
        credited = {model: _credited(known, questions, fit) for model, known in by_model.items()}
        for model, own in credited.items():
            rows.append(versions.score(model, CHOICE, metric, choice_accuracy(own, questions)))
            for other in _references_of(model, credited):
                paired = [mine - theirs for mine, theirs in zip(own, credited[other], strict=True)]
                rows.append(versions.score(model, CHOICE, f"{metric}_vs_{other}", choice_accuracy(paired, questions)))
    return rows


def _credited(
    known: ScoresByPair, questions: Sequence[Question], fit: Callable[[ScoresByPair, Example], float]
) -> list[float]:
    return [credit([fit(known, _with_response(q.example, response)) for response in q.choices]) for q in questions]


def _pair_rows(
    by_model: Mapping[str, ScoresByPair],
    held_out: Sequence[Example],
    questions: Sequence[Question],
    versions: ModelVersions,
    pairs: Sequence[tuple[str, str]],
) -> list[Score]:
    rows: list[Score] = []
    for first, second in pairs:
        own, other = ([by_model[model][_pair(e)] for e in held_out] for model in (first, second))
        difference = loss_difference(own, other, [example.seed_id for example in held_out])
        rows.append(versions.score(second, HELD_OUT, f"heldout_loss_{first}_minus_{second}", difference))
        for metric, fit in CHOICES.items():
            mine, theirs = (_credited(by_model[model], questions, fit) for model in (first, second))
            paired = choice_accuracy([m - t for m, t in zip(mine, theirs, strict=True)], questions)
            rows.append(versions.score(second, CHOICE, f"{metric}_{first}_minus_{second}", paired))
    return rows


def _fit(known: ScoresByPair, example: Example) -> float:
    """Mean log-probability per token of the response after its instruction."""
    return -known[_pair(example)].loss


def _calibrated_fit(known: ScoresByPair, example: Example) -> float:
    """What the instruction adds to that: less the response's own ease (PMI of Holtzman et al. 2021, 2104.08315)."""
    return _fit(known, example) - _fit(known, _without_instruction(example))


CHOICES: dict[str, Callable[[ScoresByPair, Example], float]] = {
    "choice_accuracy": _fit,
    "choice_accuracy_calibrated": _calibrated_fit,
}
"""The metrics of response choice, and what each takes for how well a response fits."""


def _baseline_rows(questions: Sequence[Question], vocabulary: int, versions: ModelVersions) -> list[Score]:
    """What no model at all scores: a guess, the shortest answer, every token equally likely."""
    shortest = choice_accuracy(shortest_answer(questions), questions)
    chance = Estimate(CHANCE, None, shortest.clusters)
    uniform = Estimate(math.log(vocabulary), None, shortest.clusters)
    return [
        versions.score("chance", CHOICE, "choice_accuracy", chance),
        versions.score("shortest_answer", CHOICE, "choice_accuracy", shortest),
        versions.score("uniform_tokens", HELD_OUT, "heldout_loss", uniform),
    ]
