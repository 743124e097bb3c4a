"""References as texts that a policy learns."""

from transformers import PreTrainedTokenizerFast

from teams_dagster.rlgf.collecting import Prompt
from teams_dagster.rlgf.sequences import EndReason
from teams_dagster.rlgf.targets import targets
from teams_dagster.rlgf.task import Task
from tests.rlgf.test_against_trl import tokenizer

END = 0
TASK = Task(name="words", reward="rouge_1", prompts=("w1",), evaluation=("w2",), references={"w1": "w3 w4", "w2": "w5"})
PROMPT = Prompt("w1", (1,))


def reference(limit: int):
    words: PreTrainedTokenizerFast = tokenizer()
    return targets(words, TASK, [PROMPT], END, limit)["w1"]


def test_a_reference_ends_after_its_last_word():
    assert reference(3).tokens == (3, 4, END)
    assert reference(3).end is EndReason.ENDED


def test_a_reference_that_is_too_long_is_cut_off():
    assert reference(2).tokens == (3, 4)
    assert reference(2).end is EndReason.LENGTH
