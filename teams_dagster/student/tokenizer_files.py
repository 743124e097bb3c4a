"""What the files of a tokenizer say of its chat template and its special tokens, before a library reads them.

transformers ends with an error of Python's where these are of another form, and adds a special token to the vocabulary
that it does not find there: the model has no weight of it, or one that was never trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers.utils.hub import cached_file

from teams_dagster.model_files import ModelFault, read_object

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
    added = read_object(folder, CONFIG).get("added_tokens_decoder", {}) if (folder / CONFIG).is_file() else {}
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
    return token.get("content") if isinstance(token, dict) else token


def _check_templates(folder: Path, name: str, templates: Any) -> None:
    if isinstance(templates, list):
        if all(isinstance(each, dict) and {"name", "template"} <= each.keys() for each in templates):
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
