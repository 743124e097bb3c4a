"""The small real models that `make models` makes."""

import json
from pathlib import Path

import pytest

from resources.language_models.llama_server import LlamaServer
from teams_dagster.weights import MINILM, SMOLLM2, WeightsMissing, small_model
from tests.support.commands import ROOT


def test_a_model_that_is_not_made_says_what_to_type(tmp_path: Path):
    with pytest.raises(WeightsMissing, match="run make models"):
        small_model(tmp_path, SMOLLM2)


def test_smollm2_is_saved_as_weights_that_anything_can_train(small_models: Path):
    config = json.loads((small_models / SMOLLM2 / "config.json").read_text(encoding="utf-8"))

    assert "quantization_config" not in config


def test_smollm2s_tokenizer_reads_text_as_llama_cpp_does(smollm2_server: LlamaServer, small_models: Path):
    from openai import OpenAI
    from transformers import AutoTokenizer

    text = "Buy 1234 apples:\n\n    pay(x[10])  # Äpfel — 你好"
    reply = OpenAI(base_url=smollm2_server.url, api_key="none").completions.create(
        model=SMOLLM2, prompt=text, max_tokens=1
    )
    tokens = AutoTokenizer.from_pretrained(small_models / SMOLLM2)(text)["input_ids"]
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == len(tokens)


def test_every_package_that_weights_come_from_is_held_to_a_hash():
    lines = (ROOT / "weights.txt").read_text(encoding="utf-8").splitlines()

    assert all("--hash=sha256:" in line for line in lines if not line.startswith("#"))


def test_minilm_reads_one_text_like_another_of_the_same_meaning(small_models: Path):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(small_models / MINILM), device="cpu")
    one, same, other = model.encode(["A cat sleeps.", "A feline is asleep.", "Taxes rise."], normalize_embeddings=True)

    assert one @ same > one @ other
