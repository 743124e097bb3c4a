"""What a language model is shown of a state."""

import numpy as np
import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.environment.state import HORIZON, PastOperation, State
from teams_dagster.policy.encoder import Ablation, FeatureConfig, encoder
from teams_dagster.policy.reader.base import language_model_base
from teams_dagster.policy.reader.config import LanguageModelReaderConfig
from teams_dagster.policy.reader.names import NO_TOKEN
from teams_dagster.policy.reader.prompt import PromptReader

SEED = Instruction("Name a river", "in Spain")
TRIED = (PastOperation(Operation.BREADTH, True), PastOperation(Operation.ADD_CONSTRAINTS, False))


@pytest.fixture
def read(base):
    """Makes a reader; also with an ablation, and other limits."""

    def made(ablation: Ablation = "full", donors=(), **limits):
        features = encoder(FeatureConfig(ablation=ablation), donors)
        return PromptReader(LanguageModelReaderConfig(base=base, **limits), language_model_base(base), features)

    return made


def shown(reader, state):
    return reader.base.tokenizer.decode(reader.prompt(state))


def test_a_prompt_tells_the_operations_the_text_what_was_tried_and_asks(read):
    assert shown(read(), State("s", (SEED,), TRIED)) == (
        "Operations: breadth, add constraints, deepening, concretizing, increase reasoning steps, complicate input,"
        " none.\nInstruction: Name a river\nInput: in Spain\n"
        "Step 3 of 6. Tried: breadth accepted, add constraints refused,\nNext:"
    )


def test_the_text_is_the_one_that_the_chain_has_come_to(read):
    state = State("s", (SEED, Instruction("Name a wide river")), TRIED[:1])
    assert "Instruction: Name a wide river\nInput:\nStep 2 of 6. Tried: breadth accepted,\n" in shown(read(), state)


def test_a_long_text_is_shown_by_its_two_ends(read):
    text = Instruction("first " + "word " * 500 + "last")
    found = shown(read(instruction_tokens=16), State("s", (text,)))
    assert found.index("first") < found.index(" ...") < found.index("last")
    assert len(read(instruction_tokens=16).prompt(State("s", (text,)))) < 100


def test_special_tokens_in_a_text_are_plain_words(read):
    reader = read()
    prompt = reader.prompt(State("s", (Instruction("Say <|end|> twice"),)))
    assert reader.base.tokenizer.eos_token_id not in prompt


def test_half_a_character_is_read_as_a_question_mark(read):
    assert "Instruction: a ? b\n" in shown(read(), State("s", (Instruction("a \ud800 b"),)))


def test_a_vector_is_the_prompt_the_offsets_and_the_critics_features(read):
    reader, state = read(), State("s", (SEED,), TRIED)
    vector = reader(state)
    prompt, offsets = vector[: reader.width], vector[reader.width : reader.width + len(Operation)]
    assert vector.shape == (reader.size,)
    assert tuple(prompt[prompt != NO_TOKEN].astype(int)) == reader.prompt(state)
    assert np.array_equal(offsets, reader.offsets(reader.prompt(state)))
    assert np.array_equal(vector[-reader.critic_size :], encoder(FeatureConfig())(state))


def test_no_prompt_is_longer_than_a_vector_has_room_for(read):
    longest = max(Operation, key=lambda operation: len(operation.value))
    text = Instruction("word " * 2_000, "more " * 2_000)
    reader = read()
    assert len(reader.prompt(State("s", (text,), (PastOperation(longest, True),) * HORIZON))) <= reader.width


def test_without_a_prior_a_name_counts_from_the_bases_own_score(read):
    reader = read()
    prompt = reader.prompt(State("s", (SEED,)))
    assert np.array_equal(reader.offsets(prompt), reader.names.scores_of_one(reader.base.model, prompt))


def test_with_a_prior_it_counts_from_the_score_after_no_text(read):
    reader = read(prior=1.0)
    after_none = reader.names.scores_of_one(reader.base.model, reader.empty)
    assert np.array_equal(reader.offsets(reader.prompt(State("s", (SEED,)))), after_none)


@pytest.mark.parametrize(
    ("ablation", "hidden", "kept"),
    [("text_zeroed", "river", "breadth accepted"), ("no_history", "breadth accepted", "river")],
)
def test_an_ablation_hides_the_same_from_a_prompt_as_from_the_features(read, ablation, hidden, kept):
    found = shown(read(ablation), State("s", (SEED,), TRIED))
    assert hidden not in found
    assert kept in found


def test_noise_shows_the_text_of_a_training_seed(read):
    found = shown(read("text_noise", [Instruction("Sing a song")]), State("s", (SEED,), stream="e"))
    assert "Sing a song" in found


@pytest.mark.parametrize("limits", [{"instruction_tokens": 32}, {"input_tokens": 16}, {"prior": 0.5}])
def test_its_version_changes_with_what_it_shows(read, limits):
    assert read(**limits).version != read().version


def test_its_version_is_that_of_the_bases_weights(base, read, tmp_path):
    from tests.support.small_llama import small_llama

    tokenizer = language_model_base(base).tokenizer
    tokenizer.save_pretrained(tmp_path)
    small_llama(seed=1, vocab_size=len(tokenizer), max_position_embeddings=1024).save_pretrained(tmp_path)
    other = PromptReader(LanguageModelReaderConfig(), language_model_base(str(tmp_path)), encoder(FeatureConfig()))
    assert other.version != read().version
