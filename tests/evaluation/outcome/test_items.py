"""What students are scored on shares nothing with what they are trained on."""

from __future__ import annotations

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.constraints.prompts import constrained_prompts
from teams_dagster.evaluation.outcome.items import NEAR_DUPLICATE, SHARES_WORDS, TrainingTexts

LONG = "Describe how a lighthouse keeper spends a long winter night with nobody to talk to but the radio and the cat"


def texts(instruction: str, response: str = "It rains.") -> TrainingTexts:
    return TrainingTexts([Example("row", "seed", Instruction(instruction), response)])


def test_an_instruction_that_is_trained_on_is_not_asked():
    assert texts(LONG).why_not_apart(Instruction(LONG)) == SHARES_WORDS


def test_thirteen_words_of_a_row_are_found_in_a_longer_item():
    assert texts(LONG).why_not_apart(Instruction(f"Please be brief. {LONG}, in verse.")) == SHARES_WORDS


def test_an_answer_that_a_row_answers_with_is_not_asked_for():
    assert texts("Tell me about it.", LONG).why_not_apart(Instruction("Who?"), LONG) == SHARES_WORDS


def test_an_instruction_that_differs_in_a_word_is_a_near_duplicate():
    halves = [
        "Name five towns on the long river Loire and then say what",
        "each of them has been known for since the Middle Ages began",
    ]
    row, changed = " ".join(halves), " exactly ".join(halves)
    assert texts(row).why_not_apart(Instruction(changed)) == NEAR_DUPLICATE


def test_what_shares_nothing_is_asked():
    assert texts(LONG).why_not_apart(Instruction("Why do cats purr?"), "Nobody knows for certain.") is None


def test_no_prompt_is_near_a_shipped_seed():
    from teams_dagster.instructions.seeds import load_seeds, shipped_seeds_path

    seeds = load_seeds(shipped_seeds_path()).seeds
    known = TrainingTexts(Example(seed.seed_id, seed.seed_id, seed.instruction, seed.response) for seed in seeds)
    assert not [p.instruction.text for p in constrained_prompts() if known.why_not_apart(p.instruction)]
