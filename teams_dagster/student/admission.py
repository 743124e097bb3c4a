"""Whether a configured student can be trained: found out before anything is paid for, from one training example."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from teams_dagster.core.instruction import Instruction, user_message
from teams_dagster.dataset.sample import Example
from teams_dagster.model_files import ModelFault
from teams_dagster.model_values import check_values
from teams_dagster.student.architecture import Architecture, check_architecture, first_line
from teams_dagster.student.chat import ALPACA_TEMPLATE, MASKED, Encoded, encode_example, labels_say, render_prompt
from teams_dagster.student.conversation import TemplateFault, dialect_of
from teams_dagster.student.loading import load_tokenizer
from teams_dagster.student.parity import stop_faults
from teams_dagster.student.tokenizer_files import check_tokenizer_files, unknown_token
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
LONG_EXAMPLE = Example(
    "long example",
    "long example",
    Instruction(
        "Which of these holds: 3 < 4, \"a\" & 'b', or <b>x</b>?",
        "\n".join(f"Line {line}: no word of this one is to be cut." for line in range(1, 81)),
    ),
    "\n".join(f"{line}. It holds, as the lines before it do." for line in range(1, 81)),
)
"""A template may cut what is long, or escape what HTML does not take as it is."""
NO_LIMIT = 2**31
_OF_A_PROCESSOR = "chat_template.json"
"""A file that transformers reads for models that also see or hear, and for no tokenizer."""


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
    _check_tokenizer_files(student)
    architecture = None if packed else check_architecture(student)
    tokenizer, template = _tokenizer(student, packed)
    encoded = _encoded(student, tokenizer)
    dialect = dialect_of(tokenizer)
    notes = dialect.notes
    if template == ALPACA_TEMPLATE and (Path(student) / _OF_A_PROCESSOR).is_file():
        notes = (f"its {_OF_A_PROCESSOR} is not read: copy the template in it to chat_template.jinja", *notes)
    if architecture is not None:
        _check_fit(student, tokenizer, encoded, architecture)
        notes = (*notes, *stop_faults(tokenizer, student))
    _check_values(student, packed)
    return Admission(template, len(tokenizer), str(tokenizer.eos_token), dialect.clock, notes)


def _tokenizer(student: str, packed: Path | None) -> tuple[PreTrainedTokenizerBase, str]:
    try:
        return load_tokenizer(student) if packed is None else load_tokenizer(packed.parent, gguf=packed.name)
    except TemplateFault as fault:
        raise StudentFault(
            student, f"and {fault}: name one of them so, or remove them, and Alpaca's template is used"
        ) from fault
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


def _check_tokenizer_files(student: str) -> None:
    if not Path(student).is_dir():
        return
    try:
        check_tokenizer_files(Path(student))
    except ModelFault as fault:
        raise StudentFault(student, fault.said) from fault


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
        encoded, long = (encode_example(tokenizer, example, NO_LIMIT) for example in (EXAMPLE, LONG_EXAMPLE))
        _check_instruction(tokenizer, LONG_EXAMPLE.instruction)
    except TemplateFault as fault:
        raise StudentFault(
            student,
            f"and {fault}: correct its chat template (chat_template.jinja, or `chat_template`"
            " in tokenizer_config.json), or remove it, and Alpaca's template is used",
        ) from fault
    for example, written in ((EXAMPLE, encoded), (LONG_EXAMPLE, long)):
        if not labels_say(tokenizer, written.labels, example.response):
            learnt = tokenizer.decode([label for label in written.labels if label != MASKED])
            raise StudentFault(
                student,
                f"which would learn {learnt!r} instead of {example.response!r}: its tokenizer or"
                " its chat template does not write a response as it is; set it to a model whose do",
            )
    return encoded


def _check_instruction(tokenizer: PreTrainedTokenizerBase, instruction: Instruction) -> None:
    """Raises TemplateFault where a line of `instruction` is not in its prompt as it is."""
    prompt = render_prompt(tokenizer, instruction)
    changed = next((line for line in user_message(instruction).splitlines() if line not in prompt), None)
    if changed is not None:
        raise TemplateFault(f"the chat template changes the instruction: {changed!r} is not in its prompt")


def _check_fit(student: str, tokenizer: PreTrainedTokenizerBase, encoded: Encoded, architecture: Architecture) -> None:
    """The tokens that the example and its padding are written with, beside what the model knows and takes."""
    for kind, token in _marks(tokenizer).items():
        trained = kind != "eos_token" and token < architecture.vocabulary  # another is hardly ever written
        if not trained and unknown_token(student, str(getattr(tokenizer, kind))):
            raise StudentFault(
                student,
                f"whose tokenizer has no token {getattr(tokenizer, kind)!r} in its vocabulary, and `{kind}` in"
                f" tokenizer_config.json (or special_tokens_map.json) names it: set `{kind}` to one that it has",
            )
    written = [*encoded.input_ids, *(token for token in _marks(tokenizer).values())]
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


def _marks(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The special tokens that a tokenizer has, by kind."""
    kinds = ("bos_token", "eos_token", "pad_token")
    return {kind: found for kind in kinds if isinstance(found := getattr(tokenizer, f"{kind}_id"), int)}
