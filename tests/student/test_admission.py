"""A student that cannot be trained is told before anything is paid for, with the setting that helps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from teams_dagster.model_files import ModelFault
from teams_dagster.student.admission import examine_student
from teams_dagster.student.loading import load_student, load_tokenizer
from teams_dagster.student.stored import MODEL, configured_version, take_configured_base
from teams_dagster.student.weights import StudentFault
from tests.support.gguf_student import embeddings, tiny_gguf
from tests.support.layouts import CHATML, tiny_layout
from tests.support.spoilt_models import (
    as_pointer,
    cut_short,
    edit,
    in_shards,
    with_code_of_its_own,
    without_a_shard,
    without_weights,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_layout("qwen3", tmp_path_factory.mktemp("sound"))


@pytest.fixture
def student(sound: Path, tmp_path: Path) -> Path:
    """A copy of a sound student, to be spoilt."""
    return Path(shutil.copytree(sound, tmp_path / "student"))


def with_template(text: str) -> Callable[[Path], Any]:
    return lambda student: (student / "chat_template.jinja").write_text(text)


def as_pickle(student: Path) -> None:
    (student / "model.safetensors").rename(student / "pytorch_model.bin")


def without_end(student: Path) -> None:
    edit(student / "tokenizer_config.json", eos_token=None)


def tensors(student: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    file = student / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def without_index(student: Path) -> None:
    in_shards(student)
    (student / "model.safetensors.index.json").unlink()


def with_damaged_index(student: Path) -> None:
    in_shards(student)
    (student / "model.safetensors.index.json").write_text("<html>")


def with_a_bias(student: Path) -> None:
    tensors(student, lambda weights: weights | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(64)})


def with_a_weight_that_is_no_number(student: Path) -> None:
    def spoil(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        weights["model.norm.weight"][0] = float("nan")
        return weights

    tensors(student, spoil)


def of_a_wrapper(student: Path) -> None:
    tensors(student, lambda weights: {f"module.{name}": weight for name, weight in weights.items()})


def of_another_class(student: Path) -> None:
    edit(student / "config.json", architectures=["Qwen3ForSequenceClassification"])
    tensors(student, lambda weights: weights | {"score.weight": torch.zeros(1, 64)})


def packed_by(**packing: Any) -> Callable[[Path], Any]:
    return lambda student: edit(student / "config.json", **packing)


def as_adapter(student: Path) -> None:
    (student / "model.safetensors").rename(student / "adapter_model.safetensors")
    (student / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "the/base"}))


def without_tokenizer(student: Path) -> None:
    (student / "tokenizer.json").unlink()


def with_templates(*templates: object) -> Callable[[Path], Any]:
    """What stands as `chat_template` in the configuration of the tokenizer, and no file of its own."""

    def spoil(student: Path) -> None:
        (student / "chat_template.jinja").unlink()
        edit(student / "tokenizer_config.json", chat_template=templates)

    return spoil


def with_room_for_more_tokens(student: Path) -> None:
    """As models are padded to a multiple of 64 tokens: one that the vocabulary lacks has a weight, never trained."""
    wider = torch.zeros(320 - 281, 64)
    tensors(student, lambda weights: {n: torch.cat([w, wider]) if w.shape[0] == 281 else w for n, w in weights.items()})
    edit(student / "config.json", vocab_size=320)


def ending_with(token: object, *, room: bool = False) -> Callable[[Path], Any]:
    def spoil(student: Path) -> None:
        edit(student / "tokenizer_config.json", eos_token=token)
        if room:
            with_room_for_more_tokens(student)

    return spoil


def in_bytes(name: str, encoding: str) -> Callable[[Path], Any]:
    return lambda student: (student / name).write_bytes((student / name).read_text().encode(encoding))


CUT = CHATML.replace("m['content']", "(m['content'][:200] if m['role'] == 'user' else m['content'])")
ESCAPED = CHATML.replace("m['content']", "(m['content'] | e if m['role'] == 'user' else m['content'])")


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a template that does not parse": (with_template("{% for m in messages %}"), "cannot be parsed, line 1.*remove it"),
    "a template that takes nothing": (with_template("{{ raise_exception('no') }}"), "response: no: correct its chat"),
    "no end token": (
        lambda s: edit(s / "tokenizer_config.json", eos_token=None),
        "`eos_token` in its tokenizer_config",
    ),
    "a tokenizer that is none": (lambda s: (s / "tokenizer.json").write_text("{"), "tokenizer cannot be read"),
    "templates of which none is the default": (
        with_templates({"name": "tool_use", "template": CHATML}, {"name": "rag", "template": CHATML}),
        r"brings several chat templates \(rag, tool_use\) and none called `default`: name one of them so",
    ),
    "templates without names": (
        with_templates(CHATML),
        r"`chat_template` in tokenizer_config.json is a list whose entries do not all have",
    ),
    "a template that is no text": (
        lambda s: with_templates()(s) or edit(s / "tokenizer_config.json", chat_template=5),
        "`chat_template` in tokenizer_config.json is neither text nor",
    ),
    "a template in another encoding": (
        in_bytes("chat_template.jinja", "utf-16"),
        "chat_template.jinja cannot be read .*save it as UTF-8",
    ),
    "a configuration of the tokenizer that is none": (
        lambda s: (s / "tokenizer_config.json").write_text("[]"),
        "tokenizer_config.json is no JSON object",
    ),
    "a configuration in another encoding": (in_bytes("config.json", "utf-8-sig"), "config.json .*byte order mark"),
    "an end token that the vocabulary lacks": (
        ending_with("<|nowhere|>"),
        r"whose tokenizer has no token '<\|nowhere\|>' in its vocabulary, and `eos_token` in .* names it: set",
    ),
    "one that the model has room for": (
        ending_with({"__type": "AddedToken", "content": "<|nowhere|>"}, room=True),
        r"no token '<\|nowhere\|>'",
    ),
    "an end token that is no text": (ending_with(5), "`eos_token` in tokenizer_config.json is 5: set it to the text"),
    "a padding token that the vocabulary lacks": (
        lambda s: edit(s / "tokenizer_config.json", pad_token="<|filler|>"),
        r"no token '<\|filler\|>' in its vocabulary, and `pad_token`",
    ),
    "a template that cuts the instruction": (with_template(CUT), "chat template changes the instruction: 'Line 4: "),
    "a template that escapes the instruction": (
        with_template(ESCAPED),
        "changes the instruction: 'Which of these holds",
    ),
    "fewer embeddings than weights": (lambda s: edit(s / "config.json", vocab_size=90), "281, 64. and not .90, 64"),
    "a model of another kind": (lambda s: edit(s / "config.json", model_type="t5"), "a t5 model"),
    "weights in a pickle": (as_pickle, "pytorch_model.bin.*set it to a folder with safetensors"),
    "weights that are a pointer": (as_pointer, "Git LFS pointer of 63 bytes.*git lfs pull"),
    "weights that end early": (cut_short, "model.safetensors cannot be read"),
    "no weights": (lambda s: (s / "model.safetensors").unlink(), "holds no weights"),
    "a missing file of weights": (without_a_shard, r"1 of 2 files of weights are missing \(model-00002"),
    "files of weights without their index": (without_index, "not named by any model.safetensors.index.json"),
    "an index that is none": (with_damaged_index, "index.json cannot be read"),
    "weights of another name": (of_a_wrapper, r"25 are missing \(lm_head.weight.*drawn at random"),
    "a missing weight": (
        without_weights("layers.1.mlp.up"),
        r"1 are missing \(model.layers.1.mlp.up_proj.weight\).*drawn at random",
    ),
    "weights of fewer layers": (
        lambda s: edit(s / "config.json", num_hidden_layers=3, layer_types=None),
        r"11 are missing \(model.layers.2",
    ),
    "weights of more layers": (
        lambda s: edit(s / "config.json", num_hidden_layers=1, layer_types=None),
        "11 have no place in its configuration",
    ),
    "a bias that nobody reads": (with_a_bias, "1 have no place in its configuration.*q_proj.bias"),
    "weights of another shape": (
        lambda s: edit(s / "config.json", intermediate_size=96),
        r"6 have another shape than its configuration says .*\[64, 128\] and not \[64, 96\]",
    ),
    "GPTQ": (packed_by(quantization_config={"quant_method": "gptq", "bits": 4}), r"are quantised \(gptq\)"),
    "bitsandbytes": (
        packed_by(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        r"are quantised \(bitsandbytes\).*unquantised weights",
    ),
    "MLX": (packed_by(quantization={"group_size": 64, "bits": 4}), "are quantised: a student"),
    "code of its own": (with_code_of_its_own, "needs code of its own .*no such code is run"),
    "an adapter": (as_adapter, "holds an adapter of the/base and not a model"),
    "no tokenizer": (without_tokenizer, "holds no tokenizer"),
    "no configuration": (lambda s: (s / "config.json").unlink(), "holds no config.json"),
    "a configuration that is none": (lambda s: (s / "config.json").write_text("[]"), "config.json is no JSON object"),
    "an encoder": (lambda s: edit(s / "config.json", model_type="bert"), "a bert model, which does not write"),
    "an encoder with a decoder": (lambda s: edit(s / "config.json", model_type="bart"), "a bart model, which does not"),
    "a classifier": (of_another_class, "a model trained as Qwen3ForSequenceClassification"),
    "a context that holds nothing": (lambda s: edit(s / "config.json", max_position_embeddings=16), "reads 16 tokens"),
    "a weight that is no number": (with_a_weight_that_is_no_number, "model.norm.weight in model.safetensors holds NaN"),
    "an end token unknown to the model": (
        lambda s: AutoTokenizer.from_pretrained(s, eos_token="<|own end|>").save_pretrained(s),
        "writes token 281 and whose model knows 281",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_student_that_cannot_be_trained_is_refused_with_the_setting_that_helps(name: str, student: Path) -> None:
    spoil, said = SPOILT[name]
    spoil(student)
    with pytest.raises(StudentFault, match=f"TEAMS_STUDENT is {student}.*{said}"):
        examine_student(str(student))


def test_a_sound_student_is_told_with_its_tokens_and_its_end(sound: Path) -> None:
    found = examine_student(str(sound))
    assert (found.template, found.end_token, found.notes) == ("tokenizer", "<|im_end|>", ())


def test_of_several_templates_the_default_one_is_taken(student: Path) -> None:
    (student / "chat_template.jinja").unlink()
    templates = [{"name": "tool_use", "template": "{{ messages }}"}, {"name": "default", "template": CHATML}]
    edit(student / "tokenizer_config.json", chat_template=templates)
    assert load_tokenizer(student)[0].chat_template == CHATML
    edit(student / "tokenizer_config.json", chat_template=templates[:1])
    with pytest.raises(ValueError, match=r"several chat templates \(tool_use\) and none called `default`"):
        load_tokenizer(student)


def test_an_empty_list_of_templates_is_no_template(student: Path) -> None:
    with_templates()(student)
    assert examine_student(str(student)).template == "alpaca"


def test_a_template_that_only_a_processor_reads_is_noted(student: Path) -> None:
    (student / "chat_template.jinja").rename(student / "chat_template.json")
    found = examine_student(str(student))
    assert (found.template, found.notes[0][:35]) == ("alpaca", "its chat_template.json is not read:")


def test_what_a_template_writes_behind_an_answer_is_noted(student: Path) -> None:
    with_template(CHATML.replace("<|im_end|>", "</s>"))(student)
    assert "writes '</s>' after an answer" in examine_student(str(student)).notes[0]


def test_a_hub_id_that_is_not_found_is_told_to_be_no_folder_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", Mock(side_effect=OSError("no connection\nsecond")))
    with pytest.raises(
        StudentFault, match=r"is own/model, which is no folder, and no model .* \(no connection\): set it"
    ):
        examine_student("own/model")
    with pytest.raises(StudentFault, match="which is no folder, and no model"):
        configured_version("own/model")


def test_what_a_template_needs_of_other_tools_is_noted(student: Path) -> None:
    with_template(CHATML.replace("assistant\n{% endif", "assistant\n<think>\n{% endif"))(student)
    assert "ends the prompt in a thought" in examine_student(str(student)).notes[0]


def test_a_gguf_file_is_read_as_a_student_whose_weights_are_its_own(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path)
    assert examine_student(str(tmp_path)).end_token == "<|end|>"
    assert examine_student(str(file)).template == "tokenizer"
    take_configured_base(tmp_path / "base", str(file))
    assert examine_student(str(tmp_path / "base" / MODEL)).end_token == "<|end|>"
    embedding = load_student(tmp_path / "base" / MODEL).model.get_input_embeddings().weight
    assert torch.equal(embedding.detach(), torch.from_numpy(embeddings()))


def test_weights_that_would_be_drawn_at_random_are_not_loaded(student: Path) -> None:
    """Also those of a hub id, whose files are not there when it is examined."""
    without_weights("layers.1.mlp.up")(student)
    with pytest.raises(ModelFault, match="1 are missing"):
        load_student(student)


def test_another_head_beside_the_weights_is_no_fault(student: Path) -> None:
    tensors(student, lambda weights: weights | {"value_head.weight": torch.zeros(1, 64)})
    assert examine_student(str(student)).end_token == "<|im_end|>"


def test_weights_in_several_files_are_read(student: Path) -> None:
    in_shards(student)
    assert examine_student(str(student)).end_token == "<|im_end|>"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-2_000], "cannot be read as GGUF"),
        (lambda content: b"<html>" * 100, "cannot be read as GGUF .*magic"),
        (lambda content: content.replace(b"blk.0.ffn_gate", b"blk.0.ffn_wait"), "1 are missing .*gate_proj.weight"),
    ],
    ids=["cut off", "a page", "a missing weight"],
)
def test_a_damaged_gguf_file_is_refused(damage: Callable[[bytes], bytes], said: str, tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StudentFault, match=f"TEAMS_STUDENT is {file}.*{said}"):
        take_configured_base(tmp_path / "base", str(file))


def test_a_file_that_is_no_gguf_is_refused(student: Path) -> None:
    with pytest.raises(StudentFault, match="a file that is not GGUF: set it to the folder"):
        examine_student(str(student / "model.safetensors"))


def test_one_of_several_gguf_files_must_be_named(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path)
    shutil.copy(file, tmp_path / "other.gguf")
    with pytest.raises(StudentFault, match=r"several GGUF files \(other.gguf, tiny.gguf\): name one"):
        examine_student(str(tmp_path))
