"""One update of GRPO, RLOO and online DPO moves the same weights as TRL's, and as far, from the same texts."""

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from teams_dagster.policy.algorithms.batch import Who
from teams_dagster.rlgf.algorithms import token_algorithm
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.sequences import EndReason, Text, batch_of
from teams_dagster.rlgf.update import scored
from tests.support.small_llama import END, VOCABULARY, small_llama

GROUP, PROMPTS, LIMIT, RATE = 4, ("w1 w2 w3", "w4"), 6, 0.1
BETA = 0.5
"""DPO's."""
EPSILON = 1.0
"""Far above a gradient, so that Adam's step is in proportion to it: with a small one every first step has one size."""
STEP = {
    "learning_rate": RATE,
    "adam_epsilon": EPSILON,
    "weight_decay": 0.0,
    "schedule": "constant",
    "epochs": 1,
    "minibatch": 0,
    "max_gradient_norm": None,
}


@pytest.fixture(autouse=True)
def no_usage_ping(monkeypatch):
    """TRL's trainers send one, unless the library says not to."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)


def tokenizer():
    words = {f"w{index}": index for index in range(VOCABULARY)}
    plain = Tokenizer(models.WordLevel(words, unk_token="w15"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="w0", pad_token="w0", padding_side="left")


def reward_of(tokens):
    """Seldom the same of two texts: TRL prefers the first where they earn alike, and here they are no pair."""
    return sum(token % 3 + token / 64 for token in tokens) / 5


def of_one_text(tokens):
    """Without what fills up a batch."""
    return tokens[: tokens.index(END) + 1] if END in tokens else tokens


def trl_update(kind, folder):
    """TRL's weights after one update, and the texts that it wrote: (prompt tokens, tokens) each."""
    from trl.experimental import online_dpo
    from trl.trainer import grpo_config, grpo_trainer, rloo_config, rloo_trainer

    seen = []

    def reward(prompts, completions, completion_ids, **_):
        words, texts = tokenizer(), [of_one_text(tokens) for tokens in completion_ids]
        seen.extend(zip([words(prompt)["input_ids"] for prompt in prompts], texts, strict=True))
        return [reward_of(tokens) for tokens in texts]

    grouped = {
        "per_device_train_batch_size": GROUP * len(PROMPTS),
        "num_generations": GROUP,
        "max_completion_length": LIMIT,
        "beta": 0.0,
    }
    paired = {
        "per_device_train_batch_size": len(PROMPTS),
        "max_new_tokens": LIMIT,
        "max_length": 64,
        "temperature": 1.0,
        "beta": BETA,
        "missing_eos_penalty": None,
    }
    settings, trainer, more = {
        "grpo": (grpo_config.GRPOConfig, grpo_trainer.GRPOTrainer, {**grouped, "loss_type": "grpo"}),
        "rloo": (rloo_config.RLOOConfig, rloo_trainer.RLOOTrainer, grouped),
        "online_dpo": (online_dpo.OnlineDPOConfig, online_dpo.OnlineDPOTrainer, paired),
    }[kind]
    arguments = settings(
        output_dir=str(folder),
        max_steps=1,
        learning_rate=RATE,
        adam_epsilon=EPSILON,
        max_grad_norm=0.0,
        lr_scheduler_type="constant",
        warmup_steps=0,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        gradient_checkpointing=False,
        seed=3,
        **more,
    )
    model = small_llama()
    rows = Dataset.from_dict({"prompt": list(PROMPTS)})
    given = {"ref_model": small_llama()} if kind == "online_dpo" else {}
    trainer(
        model=model, args=arguments, train_dataset=rows, reward_funcs=reward, processing_class=tokenizer(), **given
    ).train()
    if kind == "online_dpo":  # which writes a text for each prompt, and then another for each
        seen = [text for pair in zip(seen[: len(PROMPTS)], seen[len(PROMPTS) :], strict=True) for text in pair]
    return {name: weight.detach() for name, weight in model.named_parameters()}, seen


def our_update(kind, seen):
    """Our weights after one update from the texts `seen`."""
    config = RLGFConfig.model_validate(
        {
            "algorithm": {"name": kind, "step": STEP, **({"beta": BETA} if kind == "online_dpo" else {"group": GROUP})},
            "iterations": 1,
            "texts": len(seen),
            "weights": {"kind": "full"},
            "kl_reference": None,
            "at_once": 3,
        }
    )
    texts = [
        Text(
            str(prompt),
            tuple(prompt),
            tuple(tokens),
            (Who.LEARNER,) * len(tokens),
            EndReason.ENDED if tokens[-1] == END else EndReason.LENGTH,
            reward_of(tokens),
        )
        for prompt, tokens in seen
    ]
    learner = TokenLearner(small_llama(), config)
    learner.begin(0)
    token_algorithm(config).update(learner, scored(learner, batch_of(texts, END)), 0)
    return learner.models.trained(POLICY)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grpo", "rloo", "online_dpo"])
def test_one_update_moves_the_weights_as_trls(kind, tmp_path):
    theirs, seen = trl_update(kind, tmp_path)
    assert len({tuple(prompt) for prompt, _ in seen}) == len(PROMPTS)
    ours = our_update(kind, seen)
    first = dict(small_llama().named_parameters())
    moves = {name: (weight - first[name]).detach() for name, weight in theirs.items()}
    largest = max(float(move.abs().max()) for move in moves.values())
    assert largest > 1e-3
    for name, move in moves.items():
        torch.testing.assert_close((ours[name] - first[name]).detach(), move, atol=1e-3 * largest, rtol=0)
