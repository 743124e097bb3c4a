"""A tiny Llama in a GGUF file, as llama.cpp lays one out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray

from teams_dagster.student.base import train_tokenizer
from tests.support.layouts import CHATML

VOCABULARY, WIDTH, INNER, HEADS = 280, 32, 64, 2


def tiny_gguf(folder: Path) -> Path:
    """Writes `tiny.gguf` into `folder`, with random weights, a tokenizer and a chat template; returns the file."""
    tokenizer = train_tokenizer(["the colour of a box, a few words to learn"], vocabulary=VOCABULARY)
    file = folder / "tiny.gguf"
    writer = GGUFWriter(file, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(VOCABULARY)
    _add_tokenizer(writer, tokenizer)
    _add_weights(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: GGUFWriter, tokenizer: Any) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    special = set(tokenizer.all_special_tokens)
    writer.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(CHATML.replace("<|im_end|>", "<|end|>"))


def embeddings() -> NDArray[np.float32]:
    """What its tokens are embedded as."""
    return np.random.default_rng(0).normal(0, 0.02, (VOCABULARY, WIDTH)).astype(np.float32)


def _add_weights(writer: GGUFWriter) -> None:
    drawn = np.random.default_rng(1)
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (WIDTH, WIDTH),
        "attn_v": (WIDTH, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (INNER, WIDTH),
        "ffn_up": (INNER, WIDTH),
        "ffn_down": (WIDTH, INNER),
    }
    writer.add_tensor("token_embd.weight", embeddings())
    for name, shape in shapes.items():
        writer.add_tensor(f"blk.0.{name}.weight", drawn.normal(0, 0.02, shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
