"""Whether a configured student can be trained: found out before anything is paid for, from one training example."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
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

    Reads the model's configuration and the names and headers of its files, but no weights. Raises StudentFault, which
    says what was wrong and which setting helps.
    """
    check_weights(student)
    packed = gguf_file(student)
    tokenizer, template = _tokenizer(student, packed)
    encoded = _encoded(student, tokenizer)
    dialect = dialect_of(tokenizer)
    notes = dialect.notes
    if packed is None:
        _check_model(student, max(encoded.input_ids))
        notes = (*notes, *stop_faults(tokenizer, student))
    return Admission(template, len(tokenizer), str(tokenizer.eos_token), dialect.clock, notes)


def _tokenizer(student: str, packed: Path | None) -> tuple[PreTrainedTokenizerBase, str]:
    try:
        return load_tokenizer(student) if packed is None else load_tokenizer(packed.parent, gguf=packed.name)
    except Exception as error:  # files of any kind, read by several libraries
        raise StudentFault(
            student,
            f"whose tokenizer cannot be read ({_first_line(error)}): set it to a folder with"
            " tokenizer.json, or with the files that its tokenizer_config.json names",
        ) from error


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


def _check_model(student: str, highest: int) -> None:
    """The configuration beside the tokenizer, which writes token `highest`."""
    try:
        config: Any = AutoConfig.from_pretrained(student)
    except Exception as error:
        raise StudentFault(
            student,
            f"whose configuration cannot be read ({_first_line(error)}): set it to a folder"
            " with the config.json of a causal language model",
        ) from error
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise StudentFault(
            student,
            f"a {config.model_type} model, which does not write text from left to right: set"
            " it to a causal language model",
        )
    known = config.get_text_config().vocab_size
    if highest >= known:
        raise StudentFault(
            student,
            f"whose tokenizer writes token {highest:,} and whose model knows {known:,}: set"
            " it to a folder where the two belong together",
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
