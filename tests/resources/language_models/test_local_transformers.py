"""A local model through transformers: a tiny random Llama made on the spot, really loaded, really sampled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resources.language_models.local_transformers import LocalTransformersModel, weights_digest
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Outcome, Request, Sampling
from teams_dagster.core.replies import Choice, Way
from tests.support.questions import question
from tests.support.spoilt_models import (
    as_pointer,
    configured,
    cut_short,
    with_code_of_its_own,
    without_a_shard,
    without_weights,
)

WORDS = "Be brief. Say something. why is the sky blue red green one two three user system assistant".split()
TEMPLATE = (
    "{% for message in messages %}{{ message.role }} {{ message.content }} </s> {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


def save_tiny_llama(folder: Path, *, template: str | None = TEMPLATE, seed: int = 0) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<unk>", "</s>", *dict.fromkeys(WORDS)])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        eos_token_id=1,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model this small is slower on more
    yield save_tiny_llama(tmp_path_factory.mktemp("tiny"))
    torch.set_num_threads(threads)


def ask(folder: Path | str, *requests: Request, **options: Any) -> list[Completion]:
    async def every() -> list[Completion]:
        model = LocalTransformersModel(str(folder), **options)
        try:
            return await asyncio.gather(*[model.complete(request) for request in requests])
        finally:
            await model.close()

    return asyncio.run(every())


def test_answers_with_the_tokens_counted(folder: Path) -> None:
    (answer,) = ask(folder, question("why is the sky blue", sampling=Sampling(1.0, 1.0, 12)))
    said = len(answer.text.split())
    assert set(answer.text.split()) <= {*WORDS, "<unk>"}
    # system Be brief. </s> user why is the sky blue </s> assistant
    assert answer.usage.prompt_tokens == 12
    ended = answer.finish_reason == "stop"
    assert answer.usage.completion_tokens is not None
    assert said <= answer.usage.completion_tokens <= 12
    assert answer.outcome is not Outcome.TRUNCATED if ended else answer.outcome is Outcome.TRUNCATED


def test_an_answer_that_ends_is_told_from_one_that_is_cut(folder: Path) -> None:
    asked = [question("one", replica=n, sampling=Sampling(1.0, 1.0, 20)) for n in range(64)]
    answers = ask(folder, *asked, max_batch=64)
    by_reason = Counter(answer.finish_reason for answer in answers)
    assert set(by_reason) == {"stop", "length"}
    for answer in answers:
        assert answer.usage.completion_tokens is not None
        if answer.finish_reason == "length":
            assert (answer.usage.completion_tokens, answer.outcome) == (20, Outcome.TRUNCATED)
        else:
            assert answer.outcome in (Outcome.USABLE, Outcome.EMPTY)


def test_company_does_not_change_an_answer_but_the_replica_does(folder: Path) -> None:
    alone = question("why is the sky", sampling=Sampling(1.0, 0.9, 16))
    others = [question(f"{'red ' * n}one", sampling=Sampling(0.5, 1.0, 4 + n)) for n in range(7)]
    answer = ask(folder, alone)[0]
    assert ask(folder, *others, alone)[-1] == answer
    assert ask(folder, alone, *others, max_batch=3)[0] == answer
    replicas = ask(folder, *[question("why is the sky", replica=n, sampling=alone.sampling) for n in range(8)])
    assert replicas[0] == answer
    assert len({each.text for each in replicas}) > 4


def test_temperature_zero_is_the_likeliest_answer_whatever_the_replica(folder: Path) -> None:
    answers = ask(folder, *[question("two", replica=n, sampling=Sampling(0.0, 1.0, 10)) for n in range(4)])
    assert len({answer.text for answer in answers}) == 1


def test_draws_follow_the_models_probabilities(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    draws = 3_000
    sampling = Sampling(0.7, 1.0, 1)
    answers = ask(folder, *[question("sky", replica=n, sampling=sampling) for n in range(draws)], max_batch=500)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    text = "system Be brief. </s> user sky </s> assistant"
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer(text)["input_ids"]])).logits[0, -1]
    expected = (logits / 0.7).softmax(-1)
    for token, word in ((number, tokenizer.decode([number])) for number in range(2, len(tokenizer))):
        seen = sum(answer.text == word for answer in answers) / draws
        spread = (expected[token] * (1 - expected[token]) / draws).sqrt()
        assert abs(seen - expected[token]) < 5 * spread, word


def test_top_p_keeps_to_the_likeliest(folder: Path) -> None:
    answers = ask(folder, *[question("sky", replica=n, sampling=Sampling(1.0, 0.001, 3)) for n in range(16)])
    greedy = ask(folder, question("sky", sampling=Sampling(0.0, 1.0, 3)))[0]
    assert {answer.text for answer in answers} == {greedy.text}


def test_a_prompt_beyond_the_window_fails_alone(folder: Path) -> None:
    async def both() -> list[Any]:
        model = LocalTransformersModel(str(folder))
        asks = [model.complete(question("red " * 100)), model.complete(question("red"))]
        return await asyncio.gather(*asks, return_exceptions=True)

    failure, answer = asyncio.run(both())
    assert isinstance(failure, CompletionError)
    assert failure.kind is ErrorKind.TOO_LONG
    assert "window 64" in failure.detail
    assert isinstance(answer, Completion)


def test_a_model_without_a_chat_template_reads_plain_text(tmp_path: Path) -> None:
    plain = save_tiny_llama(tmp_path, template=None)
    (answer,) = ask(plain, question("why is the sky blue", sampling=Sampling(1.0, 1.0, 2)))
    assert answer.usage.prompt_tokens == 7


def test_a_template_without_a_system_role_has_it_in_the_users_message(tmp_path: Path) -> None:
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    (answer,) = ask(
        save_tiny_llama(tmp_path, template=refusing + TEMPLATE), question("sky", sampling=Sampling(1.0, 1.0, 2))
    )
    assert answer.usage.prompt_tokens == len("user Be brief. sky </s> assistant".split())


def test_a_limit_of_the_roles_own_bounds_its_replies_and_is_part_of_the_identity(folder: Path) -> None:
    (answer,) = ask(folder, question("two", sampling=Sampling(1.0, 1.0, 12)), max_tokens=1)
    assert answer.usage.completion_tokens == 1
    bounded, plain = LocalTransformersModel(str(folder), max_tokens=1), LocalTransformersModel(str(folder))
    assert bounded.identity.rules_version == f"{plain.identity.rules_version} max_tokens=1"


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompletionError, match=str(tmp_path)) as failure:
        ask(tmp_path, question())
    assert not failure.value.kind.retryable


def test_other_weights_in_the_same_folder_are_another_model(tmp_path: Path) -> None:
    before = LocalTransformersModel(str(save_tiny_llama(tmp_path))).identity
    assert LocalTransformersModel(str(tmp_path)).identity == before
    save_tiny_llama(tmp_path, seed=1)
    assert LocalTransformersModel(str(tmp_path)).identity != before
    assert weights_digest(Path("some/hub-id")) == ""


def held(folder: Path, *requests: Request) -> list[Completion]:
    colours = Choice("colour", ("red", "blue green"))
    constrained = [replace(request, allowed=colours, structured=Way.LOGPROBS) for request in requests]
    return ask(folder, *constrained, structured=Way.LOGPROBS)


def test_a_choice_is_scored_by_the_log_probabilities_of_each_reply(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (answer,) = held(folder, question("why is the sky", sampling=Sampling(0.0, 1.0, 16)))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    prompt = tokenizer("system Be brief. </s> user why is the sky </s> assistant")["input_ids"]
    scores = []
    for reply in ("red </s>", "blue green </s>"):
        said = tokenizer(reply)["input_ids"]
        logits = model(torch.tensor([prompt + said])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        scores.append(sum(row[token].item() for row, token in zip(logits, said, strict=True)))
    expected = torch.tensor(scores).softmax(0).tolist()
    assert answer.probabilities is not None
    assert answer.probabilities == pytest.approx(dict(zip(("red", "blue green"), expected, strict=True)), rel=1e-4)
    assert answer.text == max(answer.probabilities, key=answer.probabilities.__getitem__)


def test_a_choice_at_a_temperature_is_a_draw_that_its_replica_decides(folder: Path) -> None:
    asked = [question("one", replica=n, sampling=Sampling(1.0, 1.0, 16)) for n in range(40)]
    answers = held(folder, *asked)
    assert {answer.text for answer in answers} == {"red", "blue green"}
    assert [answer.text for answer in held(folder, *asked)] == [answer.text for answer in answers]


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pointer": (as_pointer, "model.safetensors is a Git LFS pointer"),
    "cut short": (cut_short, "model.safetensors cannot be read"),
    "a file of two": (without_a_shard, "1 of 2 files of weights are missing"),
    "a weight": (without_weights("layers.1.mlp.up"), "1 are missing .*would be drawn at random"),
    "more layers": (configured(num_hidden_layers=3), "9 are missing"),
    "code of its own": (with_code_of_its_own, "contains custom code"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_weights_that_are_not_whole_answer_nothing(name: str, tmp_path: Path) -> None:
    spoil, said = SPOILT[name]
    spoil(save_tiny_llama(tmp_path))
    with pytest.raises(CompletionError, match=f"cannot load the model {tmp_path}.*{said}") as failure:
        ask(tmp_path, question())
    assert failure.value.kind is ErrorKind.UNLOADABLE
