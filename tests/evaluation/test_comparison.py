from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.comparison import NEUTRAL, Evaluation, evaluate_models, loss_difference, loss_per_token
from teams_dagster.evaluation.scores import ModelVersions, Score
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.base import VOCABULARY
from teams_dagster.student.lengths import lengths_for
from teams_dagster.student.loading import load_student
from teams_dagster.student.scoring import ResponseScore

pytestmark = pytest.mark.slow

VERSIONS = ModelVersions({"base": "b1", "lora": "l1", "qlora": "q1"}, "d1")
ANIMALS = ["owl", "cat", "dog", "bee", "fox", "cow", "hen", "rat", "ant", "elk", "emu", "pig"]
EXAMPLES = [
    Example(f"s{i}-{k}", f"seed-{i}", Instruction(f"Which animal is number {i}?", f"Try {k}."), f"It is the {name}.")
    for i, name in enumerate(ANIMALS)
    for k in range(2)
]
TRAIN, HELD_OUT = EXAMPLES[:14], EXAMPLES[14:]


@pytest.fixture(scope="module")
def models(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    configs = [AdapterConfig(kind=kind, learning_rate=5e-3, max_steps=12, batch_size=8) for kind in ("lora", "qlora")]
    adapters = {config.kind: tmp_path_factory.mktemp(config.kind) for config in configs}
    for config in configs:
        train_adapter(base, TRAIN, [], adapters[config.kind], config)
    return base, {**adapters}


@pytest.fixture(scope="module")
def evaluation(models: tuple[Path, dict[str, Path]]) -> Evaluation:
    return evaluate_models(*models, TRAIN, HELD_OUT, VERSIONS, seed=0)


def row(evaluation: Evaluation, model: str, metric: str) -> Score:
    (found,) = [s for s in evaluation.scores if (s.model, s.metric) == (model, metric)]
    return found


def test_every_model_has_its_scores_and_paired_differences(evaluation: Evaluation) -> None:
    assert {(s.model, s.metric) for s in evaluation.scores} == {
        ("base", "heldout_loss"),
        ("lora", "heldout_loss"),
        ("qlora", "heldout_loss"),
        ("unigram", "heldout_loss"),
        ("base", "heldout_loss_vs_unigram"),
        ("lora", "heldout_loss_vs_unigram"),
        ("qlora", "heldout_loss_vs_unigram"),
        ("lora", "heldout_loss_vs_base"),
        ("qlora", "heldout_loss_vs_base"),
        ("qlora", "heldout_loss_vs_lora"),
        ("base", "choice_accuracy_calibrated"),
        ("lora", "choice_accuracy_calibrated"),
        ("qlora", "choice_accuracy_calibrated"),
        ("lora", "choice_accuracy_calibrated_vs_base"),
        ("qlora", "choice_accuracy_calibrated_vs_base"),
        ("base", "choice_accuracy"),
        ("lora", "choice_accuracy"),
        ("qlora", "choice_accuracy"),
        ("lora", "choice_accuracy_vs_base"),
        ("qlora", "choice_accuracy_vs_base"),
        ("qlora", "choice_accuracy_vs_lora"),
        ("qlora", "choice_accuracy_calibrated_vs_lora"),
        ("chance", "choice_accuracy"),
        ("shortest_answer", "choice_accuracy"),
        ("uniform_tokens", "heldout_loss"),
    }
    for score in evaluation.scores:
        assert score.n == 5
        assert score.dataset_version == "d1"
        assert score.model_version == VERSIONS.models.get(score.model)


def test_differences_are_those_of_the_values(evaluation: Evaluation) -> None:
    for metric in ("heldout_loss", "choice_accuracy"):
        difference = row(evaluation, "lora", metric).value - row(evaluation, "base", metric).value
        assert row(evaluation, "lora", f"{metric}_vs_base").value == pytest.approx(difference)


def test_adapters_trained_on_such_answers_beat_the_base(evaluation: Evaluation) -> None:
    for model in ("lora", "qlora"):
        difference = row(evaluation, model, "heldout_loss_vs_base")
        assert difference.stderr is not None
        assert difference.value + 1.96 * difference.stderr < 0


def test_an_adapter_that_knows_the_answers_by_heart_chooses_every_one(base: Path, tmp_path: Path) -> None:
    """A fault in prompts, labels, scores or the order of choices would show as less than all of them.

    It learns as well that an instruction that asks nothing in particular is answered by none of them more than by
    another. Otherwise one of the answers comes after that as if asked for, and which one is chance: calibrated, it
    would fit its own instruction worse than an answer that comes after neither.
    """
    student = load_student(base)
    # so little trained, the base's output layer is too faint for any adapter to be sure of a word
    with torch.no_grad():
        student.model.model.norm.weight.mul_(10)
    student.model.save_pretrained(tmp_path / "base")
    student.tokenizer.save_pretrained(tmp_path / "base")
    known = [Example(name, name, Instruction(f"Say {name} {name}."), f"It is the {name}.") for name in ANIMALS[:6]]
    unasked = [replace(example, sample_id=f"{example.sample_id}-unasked", instruction=NEUTRAL) for example in known]
    config = AdapterConfig(kind="lora", learning_rate=2e-3, max_steps=120, batch_size=12)
    train_adapter(tmp_path / "base", [*known, *unasked], [], tmp_path / "lora", config)
    result = evaluate_models(tmp_path / "base", {"lora": tmp_path / "lora"}, known, known, VERSIONS, seed=0)
    assert row(result, "lora", "choice_accuracy").value == 1.0
    assert row(result, "lora", "choice_accuracy_calibrated").value > 0.9
    assert row(result, "lora", "heldout_loss").value < 0.5
    assert row(result, "base", "choice_accuracy").value < 0.75


def test_the_baselines_are_what_no_model_would_score(evaluation: Evaluation) -> None:
    assert row(evaluation, "chance", "choice_accuracy").value == 0.25
    assert row(evaluation, "uniform_tokens", "heldout_loss").value == math.log(VOCABULARY)
    assert 0 <= row(evaluation, "shortest_answer", "choice_accuracy").value <= 1


def test_the_unigram_model_knows_the_words_of_training_and_a_model_can_know_more(evaluation: Evaluation) -> None:
    unigram = row(evaluation, "unigram", "heldout_loss").value
    assert unigram < row(evaluation, "uniform_tokens", "heldout_loss").value
    against = row(evaluation, "lora", "heldout_loss_vs_unigram").value
    assert against == pytest.approx(row(evaluation, "lora", "heldout_loss").value - unigram)


def test_scores_are_the_same_again(models: tuple[Path, dict[str, Path]], evaluation: Evaluation) -> None:
    assert evaluate_models(*models, TRAIN, HELD_OUT, VERSIONS, seed=0) == evaluation


def test_an_example_beyond_the_context_is_left_out_by_name(models: tuple[Path, dict[str, Path]]) -> None:
    long = Example("long", "seed-99", Instruction("Copy.", "word " * 2000), "word")
    result = evaluate_models(models[0], {}, TRAIN, [*HELD_OUT, long], VERSIONS, seed=0)
    assert result.too_long == ("long",)
    assert row(result, "base", "heldout_loss").n == 5
    with pytest.raises(ValueError, match="none of 1 held-out examples fits"):
        evaluate_models(models[0], {}, TRAIN, [long], VERSIONS, seed=0)


def test_an_example_beyond_the_context_in_an_adapters_own_template_is_left_out_as_well(
    base: Path, tmp_path: Path
) -> None:
    config = AdapterConfig(kind="lora", template="alpaca", max_steps=1, batch_size=8)
    train_adapter(base, TRAIN, [], tmp_path, config)
    context, own, all_templates = load_student(base).context, lengths_for(base, []), lengths_for(base, [tmp_path])
    inputs = (Instruction("Which one?", "word " * count) for count in range(context))
    long = next(
        example
        for example in (Example("long", "seed-99", instruction, "It") for instruction in inputs)
        if all_templates.whole(example) > context
    )
    assert own.whole(long) <= context
    assert evaluate_models(base, {"lora": tmp_path}, TRAIN, [*HELD_OUT, long], VERSIONS, seed=0).too_long == ("long",)


SEEDS = ["a", "a", "b", "c"]
MODEL = [ResponseScore(-4.0, 2), ResponseScore(-3.0, 3), ResponseScore(-10.0, 4), ResponseScore(-1.0, 1)]
BASE = [ResponseScore(-5.0, 2), ResponseScore(-4.5, 3), ResponseScore(-12.0, 4), ResponseScore(-1.5, 1)]


def test_loss_weighs_every_token_alike() -> None:
    assert loss_per_token(MODEL, SEEDS).value == pytest.approx(18 / 10)
    assert loss_per_token(MODEL, SEEDS).clusters == 3


def test_a_difference_is_that_of_the_losses_with_a_smaller_error_than_either() -> None:
    difference = loss_difference(MODEL, BASE, SEEDS)
    assert difference.value == pytest.approx(loss_per_token(MODEL, SEEDS).value - loss_per_token(BASE, SEEDS).value)
    assert difference.stderr is not None
    errors = [loss_per_token(scores, SEEDS).stderr for scores in (MODEL, BASE)]
    assert all(error is not None and difference.stderr < error for error in errors)


def test_a_model_does_not_differ_from_itself() -> None:
    assert loss_difference(MODEL, MODEL, SEEDS).value == 0
    assert loss_difference(MODEL, MODEL, SEEDS).stderr == 0
