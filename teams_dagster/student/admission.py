"""Whether a configured student can be trained: found out before anything is paid for, from one training example.

The tokenizer's files are read before a library reads them. transformers ends with an error of Python's where they are
of another form, and adds a special token to the vocabulary that it does not find there: the model has no weight of it,
or one that was never trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer
from transformers.utils.hub import cached_file  # pyright: ignore[reportUnknownVariableType]

from teams_dagster.core.instruction import Instruction, user_message
from teams_dagster.core.type_guards import is_dict, is_list
from teams_dagster.dataset.sample import Example
from teams_dagster.model_files import ModelFault, read_object
from teams_dagster.model_values import check_values
from teams_dagster.student.architecture import Architecture, check_architecture, first_line
from teams_dagster.student.chat import (
    ALPACA_TEMPLATE,
    MASKED,
    Encoded,
    decoded,
    encode_example,
    labels_say,
    render_prompt,
)
from teams_dagster.student.conversation import TemplateFault, dialect_of
from teams_dagster.student.loading import load_tokenizer
from teams_dagster.student.parity import stop_faults
from teams_dagster.student.weights import StudentFault, check_weights, gguf_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONFIG = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
TEMPLATE = "chat_template.jinja"
_KINDS = ("bos_token", "eos_token", "pad_token")


def check_tokenizer_files(folder: Path) -> None:
    """Looks at the configuration and the chat template of the tokenizer in `folder`.

    Raises ModelFault for what cannot be read, a template that is neither text nor a list of named ones, and a special
    token that is no text.
    """
    for file in (folder / TEMPLATE, *sorted((folder / "additional_chat_templates").glob("*.jinja"))):
        _check_text(folder, file)
    for name in (CONFIG, SPECIAL):
        if (folder / name).is_file():
            said = read_object(folder, name)
            _check_special_tokens(folder, name, said)
            _check_templates(folder, name, said.get("chat_template"))


def unknown_token(student: str, token: str) -> bool:
    """Whether no file of the tokenizer of `student` (a folder or a hub id) has `token` in its vocabulary.

    Says of vocabularies in other forms than tokenizer.json that they have it.
    """
    file = cached_file(student, "tokenizer.json", _raise_exceptions_for_missing_entries=False)
    if file is None or Tokenizer.from_file(str(file)).token_to_id(token) is not None:
        return False
    folder = Path(file).parent
    said = read_object(folder, CONFIG) if (folder / CONFIG).is_file() else {}
    added: dict[str, Any] = said.get("added_tokens_decoder", {})
    further = read_object(folder, "added_tokens.json") if (folder / "added_tokens.json").is_file() else {}
    return token not in further and all(token != _content(entry) for entry in added.values())


def _check_text(folder: Path, file: Path) -> None:
    if not file.is_file():
        return
    try:
        file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFault(folder, f"where {file.name} cannot be read ({error}): save it as UTF-8") from None


def _check_special_tokens(folder: Path, name: str, said: dict[str, Any]) -> None:
    for kind in _KINDS:
        token = said.get(kind)
        if token is not None and not isinstance(_content(token), str):
            raise ModelFault(folder, f"where `{kind}` in {name} is {token!r}: set it to the text of that token")


def _content(token: Any) -> Any:
    return token.get("content") if is_dict(token) else token


def _check_templates(folder: Path, name: str, templates: Any) -> None:
    if is_list(templates):
        if all(is_dict(each) and {"name", "template"} <= each.keys() for each in templates):
            return
        raise ModelFault(
            folder,
            f"where `chat_template` in {name} is a list whose entries do not all have `name` and `template`: write the"
            " one for plain conversations as text",
        )
    if templates is not None and not isinstance(templates, str | dict):
        raise ModelFault(
            folder,
            f"where `chat_template` in {name} is neither text nor a list of templates: correct it, or remove it, and"
            " Alpaca's template is used",
        )


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
            learnt = decoded(tokenizer, [label for label in written.labels if label != MASKED])
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
