"""A student that cannot be trained is told before anything is paid for, with the setting that helps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from teams_dagster.student.admission import examine_student
from teams_dagster.student.loading import load_student, load_tokenizer
from teams_dagster.student.stored import MODEL, take_configured_base
from teams_dagster.student.weights import StudentFault
from tests.support.gguf_student import embeddings, tiny_gguf
from tests.support.layouts import CHATML, tiny_layout


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_layout("qwen3", tmp_path_factory.mktemp("sound"))


@pytest.fixture
def student(sound: Path, tmp_path: Path) -> Path:
    """A copy of a sound student, to be spoilt."""
    return Path(shutil.copytree(sound, tmp_path / "student"))


def edit(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in (content | changes).items() if value is not None}))


def with_template(text: str) -> Callable[[Path], Any]:
    return lambda student: (student / "chat_template.jinja").write_text(text)


def as_pickle(student: Path) -> None:
    (student / "model.safetensors").rename(student / "pytorch_model.bin")


def as_pointer(student: Path) -> None:
    (student / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def without_end(student: Path) -> None:
    edit(student / "tokenizer_config.json", eos_token=None)


def cut_short(student: Path) -> None:
    tensors = student / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a template that does not parse": (with_template("{% for m in messages %}"), "cannot be parsed, line 1.*remove it"),
    "a template that takes nothing": (with_template("{{ raise_exception('no') }}"), "response: no: correct its chat"),
    "no end token": (
        lambda s: edit(s / "tokenizer_config.json", eos_token=None),
        "`eos_token` in its tokenizer_config",
    ),
    "a tokenizer that is none": (lambda s: (s / "tokenizer.json").write_text("{"), "tokenizer cannot be read"),
    "tokens unknown to the model": (lambda s: edit(s / "config.json", vocab_size=90), "model knows 90"),
    "a model of another kind": (lambda s: edit(s / "config.json", model_type="t5"), "a t5 model"),
    "weights in a pickle": (as_pickle, "pytorch_model.bin.*set it to a folder with safetensors"),
    "weights that are a pointer": (as_pointer, "Git LFS pointer of 63 bytes.*git lfs pull"),
    "weights that end early": (cut_short, "model.safetensors cannot be read"),
    "no weights": (lambda s: (s / "model.safetensors").unlink(), "holds no weights"),
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
    with pytest.raises(StudentFault, match=r"several chat templates \(tool_use\) and none called default"):
        examine_student(str(student))


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


def test_one_of_several_gguf_files_must_be_named(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path)
    shutil.copy(file, tmp_path / "other.gguf")
    with pytest.raises(StudentFault, match=r"several GGUF files \(other.gguf, tiny.gguf\): name one"):
        examine_student(str(tmp_path))
