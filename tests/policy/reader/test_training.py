"""A language model trained as the operation policy: by every algorithm but TRPO, to the bit again after a kill."""

import asyncio
import shutil

import numpy as np
import pytest
from pydantic import ValidationError

from teams_dagster.environment.transition import start
from teams_dagster.policy.algorithms.config import (
    AdamCriticConfig,
    AggreVaTeDConfig,
    BCConfig,
    D2LOLSConfig,
    DAggerConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)
from teams_dagster.policy.checkpoint import BASE, Checkpoint, FeaturesChanged
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.reader.config import LanguageModelReaderConfig
from teams_dagster.policy.reader.reading import BaseNotGiven, BaseUnavailable
from teams_dagster.policy.training import TrainingFailed, train
from tests.support.small_llama import small_llama
from tests.support.toy_world import ToyWorld, topical, topical_seeds

pytestmark = pytest.mark.slow

SEEDS = topical_seeds(40)
QUICK = PPOConfig(epochs=1, learning_rate=1e-2)
SHORT = TrainingConfig(
    iterations=2, hidden=(16,), algorithm=QUICK, critic=AdamCriticConfig(), reader=LanguageModelReaderConfig()
)


def run(path, base, config=SHORT, **world):
    return asyncio.run(train(ToyWorld(topical, **world), SEEDS, config, path, base=base, progress=lambda text: None))


def same(one, other):
    return one.state.keys() == other.state.keys() and all(
        np.array_equal(one.state[name], other.state[name]) for name in one.state
    )


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """By SHORT, once, and its file, which is only read."""
    path = tmp_path_factory.mktemp("trained") / "policy"
    return run(path, base), path


@pytest.mark.parametrize(
    "algorithm",
    [
        PPOPlusPlusConfig(step=QUICK),
        AggreVaTeDConfig(step=QUICK),
        LOLSConfig(step=QUICK),
        D2LOLSConfig(step=QUICK, switch=1),
        BCConfig(epochs=1),
        DAggerConfig(epochs=1),
    ],
    ids=lambda algorithm: algorithm.name,
)
def test_each_algorithm_moves_the_adapter(base, tmp_path, algorithm):
    checkpoint = run(tmp_path / "p", base, SHORT.model_copy(update={"algorithm": algorithm}))
    assert any(name.endswith("lora_B") and weight.any() for name, weight in checkpoint.policy.items())


@pytest.mark.parametrize("algorithm", [TRPOConfig(), D2LOLSConfig(switch=1, step=TRPOConfig())])
def test_trpo_is_refused(algorithm):
    with pytest.raises(ValidationError, match=r"trpo takes second derivatives .*: give `reader: language_model`"):
        TrainingConfig(iterations=2, algorithm=algorithm, reader=LanguageModelReaderConfig())


def test_the_order_of_answers_makes_no_difference(base, trained, tmp_path):
    scrambled = run(tmp_path / "p", base, delay=0.003)
    assert same(trained[0], scrambled)
    assert trained[1].read_bytes() == (tmp_path / "p").read_bytes()


def test_a_killed_training_ends_with_the_same_bytes(base, trained, tmp_path):
    def dies(iteration, episodes):
        if iteration == 1:
            raise KeyboardInterrupt

    world = ToyWorld(topical)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(train(world, SEEDS, SHORT, tmp_path / "p", base=base, sink=dies, progress=lambda text: None))
    assert Checkpoint.load(tmp_path / "p").iteration == 1
    run(tmp_path / "p", base)
    assert trained[1].read_bytes() == (tmp_path / "p").read_bytes()


def test_a_checkpoint_acts_as_it_did_when_it_was_written(base, trained):
    state = start("s", SEEDS["seed-0000"])
    read = Checkpoint.load(trained[1], base)
    assert np.array_equal(read.actor().probabilities(state), trained[0].actor().probabilities(state))


def test_it_names_its_reader_and_the_version_of_its_base(base, trained):
    read = Checkpoint.load(trained[1], base)
    assert read.config.reader == LanguageModelReaderConfig()
    assert read.origin.base_version == trained[0].origin.base_version


def test_it_finds_the_student_that_is_kept_beside_it(base, trained, tmp_path):
    shutil.copy(trained[1], tmp_path / "p")
    shutil.copytree(base, tmp_path / BASE)
    assert Checkpoint.load(tmp_path / "p").base == str(tmp_path / BASE)


def test_without_the_student_it_does_not_act(trained):
    with pytest.raises(BaseNotGiven, match="materialise `base_model` first"):
        Checkpoint.load(trained[1]).actor()


def test_on_another_base_it_does_not_act(base, trained, tmp_path):
    shutil.copytree(base, tmp_path / "other")
    small_llama(seed=1, vocab_size=1536, max_position_embeddings=1024).save_pretrained(tmp_path / "other")
    with pytest.raises(FeaturesChanged, match=r"belongs to a language model of version .* put the model back"):
        Checkpoint.load(trained[1], str(tmp_path / "other")).actor()


def test_a_training_does_not_go_on_upon_another_base(base, trained, tmp_path):
    shutil.copytree(base, tmp_path / "other")
    small_llama(seed=1, vocab_size=1536, max_position_embeddings=1024).save_pretrained(tmp_path / "other")
    shutil.copy(trained[1], tmp_path / "p")
    with pytest.raises(TrainingFailed, match="belongs to a training with another"):
        run(tmp_path / "p", str(tmp_path / "other"))


def test_a_base_that_is_not_there_is_named_with_what_to_do(tmp_path):
    config = SHORT.model_copy(update={"reader": LanguageModelReaderConfig(base=str(tmp_path / "none"))})
    with pytest.raises(BaseUnavailable, match=r"none' cannot be loaded .*: give `base` a folder"):
        run(tmp_path / "p", None, config)


def test_a_policy_of_features_is_stored_as_it_was():
    config = TrainingConfig()
    assert "reader" not in config.model_dump(mode="json")
