"""Whether a configured student can be trained: found out before anything is paid for, from one training example."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.model_files import ModelFault
from teams_dagster.model_values import check_values
from teams_dagster.student.architecture import Architecture, check_architecture, first_line
from teams_dagster.student.chat import MASKED, Encoded, encode_example, labels_say
from teams_dagster.student.conversation import TemplateFault, dialect_of
from teams_dagster.student.loading import load_tokenizer
from teams_dagster.student.parity import stop_faults
from teams_dagster.student.weights import StudentFault, check_weights, gguf_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EXAMPLE = Example(
    "example",
    "example",
    Instruction("List the primes below ten, then say what they add up to.", "Use one line each."),
    "The primes below 10 are:\n- 2, 3, 5 and 7.\n\nThey add up to 17.",
)
"""What is written with a student's template and tokenizer: letters, digits, signs and line breaks."""
NO_LIMIT = 2**31


@dataclass(frozen=True)
class Admission:
    """What a student was found to be."""

    template: str
    """`tokenizer` (its own) or `alpaca` (it brings none)."""
    vocabulary: int
    """Tokens that its tokenizer knows."""
    end_token: str
    """What ends each answer."""
    clock: str | None
    """The time that its chat template is told, where it asks."""
    notes: tuple[str, ...]
    """What somebody should know who asks it with other tools."""


def examine_student(student: str) -> Admission:
    """Loads the tokenizer of `student` (a folder, a GGUF file or a hub id), and encodes and decodes an example with it.

    Looks at the model's configuration, at the names and headers of its files, and last at each weight, without loading
    it. Raises StudentFault, which says what was wrong and which setting helps.
    """
    check_weights(student)
    packed = gguf_file(student)
    architecture = None if packed else check_architecture(student)
    tokenizer, template = _tokenizer(student, packed)
    encoded = _encoded(student, tokenizer)
    dialect = dialect_of(tokenizer)
    notes = dialect.notes
    if architecture is not None:
        _check_fit(student, tokenizer, encoded, architecture)
        notes = (*notes, *stop_faults(tokenizer, student))
    _check_values(student, packed)
    return Admission(template, len(tokenizer), str(tokenizer.eos_token), dialect.clock, notes)


def _tokenizer(student: str, packed: Path | None) -> tuple[PreTrainedTokenizerBase, str]:
    try:
        return load_tokenizer(student) if packed is None else load_tokenizer(packed.parent, gguf=packed.name)
    except Exception as error:  # files of any kind, read by several libraries
        if packed is not None:
            raise StudentFault(
                student, f"which cannot be read as GGUF ({first_line(error)}): download it again, or set it to another"
            ) from error
        raise StudentFault(
            student,
            f"whose tokenizer cannot be read ({first_line(error)}): set it to a folder with"
            " tokenizer.json, or with the files that its tokenizer_config.json names",
        ) from error


def _check_values(student: str, packed: Path | None) -> None:
    try:
        check_values(packed or student)
    except ModelFault as fault:
        raise StudentFault(student, fault.said) from fault


def _encoded(student: str, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """The example as training would write it."""
    if not isinstance(tokenizer.eos_token_id, int):
        raise StudentFault(
            student,
            "whose tokenizer has no end-of-sequence token, so that no answer would end: set"
            " `eos_token` in its tokenizer_config.json",
        )
    try:
        encoded = encode_example(tokenizer, EXAMPLE, NO_LIMIT)
    except TemplateFault as fault:
        raise StudentFault(
            student,
            f"and {fault}: correct its chat template (chat_template.jinja, or `chat_template`"
            " in tokenizer_config.json), or remove it, and Alpaca's template is used",
        ) from fault
    if not labels_say(tokenizer, encoded.labels, EXAMPLE.response):
        learnt = tokenizer.decode([label for label in encoded.labels if label != MASKED])
        raise StudentFault(
            student,
            f"which would learn {learnt!r} instead of {EXAMPLE.response!r}: its tokenizer or"
            " its chat template does not write a response as it is; set it to a model whose do",
        )
    return encoded


def _check_fit(student: str, tokenizer: PreTrainedTokenizerBase, encoded: Encoded, architecture: Architecture) -> None:
    """The tokens that the example and its padding are written with, beside what the model knows and takes."""
    written = [*encoded.input_ids, *(token for token in _marks(tokenizer) if isinstance(token, int))]
    if max(written) >= architecture.vocabulary:
        raise StudentFault(
            student,
            f"whose tokenizer writes token {max(written):,} and whose model knows {architecture.vocabulary:,}: set"
            " it to a folder where the two belong together",
        )
    if architecture.context is not None and len(encoded.input_ids) > architecture.context:
        raise StudentFault(
            student,
            f"which reads {architecture.context:,} tokens at most (`max_position_embeddings`), fewer than the"
            f" {len(encoded.input_ids):,} of a short example: set it to a model with a longer context",
        )


def _marks(tokenizer: PreTrainedTokenizerBase) -> tuple[Any, ...]:
    return tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
