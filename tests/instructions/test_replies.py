import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation, Returns
from teams_dagster.instructions.requests import MalformedReply, parse_rewrite

PARENT = Instruction("Add the numbers.", "1, 2, 3")
words = st.text(alphabet="abc de,.|\n", min_size=1).filter(lambda text: text.strip() == text)


@given(words, st.sampled_from([op for op in Operation if op.returns is Returns.INSTRUCTION]))
def test_in_depth_operations_keep_the_input_verbatim(text: str, operation: Operation):
    assert parse_rewrite(operation, PARENT, f" {text}\n") == Instruction(text, PARENT.input)


@given(words, words)
def test_the_stated_format_is_read_back_whole(text: str, material: str):
    reply = f"Instruction: {text}\nInput: {material}"
    assert parse_rewrite(Operation.COMPLICATE_INPUT, PARENT, reply) == Instruction(text, material)


@pytest.mark.parametrize("word", ["None", "none", "None."])
def test_the_word_none_drops_the_input(word: str):
    assert parse_rewrite(Operation.BREADTH, PARENT, f"Instruction: Name a river.\nInput: {word}").input == ""


@pytest.mark.parametrize(
    "reply", ["", "Name a river.", "Instruction: Name a river.", "Instruction:\nInput: 3", "Input: 3"]
)
def test_a_reply_that_breaks_the_format_is_malformed(reply: str):
    with pytest.raises(MalformedReply):
        parse_rewrite(Operation.BREADTH, PARENT, reply)
