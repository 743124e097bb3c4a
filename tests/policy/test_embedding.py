"""Features from a sentence-embedding model, with tiny weights made here."""

import numpy as np
import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.state import State
from teams_dagster.policy.encoder import EmbeddingUnavailable, FeatureConfig, SentenceEmbedding, encoder
from teams_dagster.policy.features import CUE_SIZE, GROWTH_SIZE, HISTORY_SIZE, PROGRESS_SIZE

WIDTH = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sentence-transformers model of one layer with random weights and a word-level vocabulary."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    home = tmp_path_factory.mktemp("embedding")
    words = ["[PAD]", "[UNK]", *"name a river city mountain of europe describe the".split()]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(words), hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(shape).save_pretrained(home / "bert")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        home / "bert"
    )
    body = Transformer(str(home / "bert"))
    SentenceTransformer(modules=[body, Pooling(WIDTH)], device="cpu").save(str(home / "model"))
    return str(home / "model")


def test_an_embedding_takes_the_place_of_the_hashed_words(folder):
    encode = encoder(FeatureConfig(embedding_model=folder))
    assert encode.size == WIDTH + CUE_SIZE + GROWTH_SIZE + HISTORY_SIZE + PROGRESS_SIZE
    vector = encode(State("s", (Instruction("Name a river"),)))
    assert vector.dtype == np.float64
    assert np.linalg.norm(vector[:WIDTH]) == pytest.approx(1, abs=1e-6)


def test_it_reads_text_and_input(folder):
    embed = SentenceEmbedding(folder)
    plain = embed(Instruction("Name a river"))
    assert not np.allclose(plain, embed(Instruction("Name a mountain")))
    assert not np.allclose(plain, embed(Instruction("Name a river", "europe")))
    assert embed(Instruction("Name a river")) is plain


def test_its_version_is_that_of_its_weights(folder):
    import torch

    embed = SentenceEmbedding(folder)
    assert SentenceEmbedding(folder).version == embed.version
    with torch.no_grad():
        next(iter(embed._model.parameters())).add_(1)
    embed._model.save(folder + "-changed")
    assert SentenceEmbedding(folder + "-changed").version != embed.version


def test_a_model_that_is_not_there_is_named_with_what_to_do(tmp_path):
    with pytest.raises(EmbeddingUnavailable, match="cannot be loaded"):
        SentenceEmbedding(str(tmp_path))
