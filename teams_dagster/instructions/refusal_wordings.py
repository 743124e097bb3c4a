"""How models decline, by language: regular expressions, read from `data/refusals.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Wordings:
    """Of one language."""

    apology: str
    """How an answer begins that says sorry. What is said in sympathy is left out."""
    identity: str
    """How an answer begins by what its author is."""
    inability: str
    """That its author cannot, may not or will not, or does not know."""
    declined: str
    """With what an answer begins that declines without saying sorry: an inability of what assistants are asked for."""
    not_for_me: str
    """With what an answer begins that declines by what is asked: it is nothing that its author can do or speak of."""
    contrast: str
    """What turns from what cannot be done to what can."""
    following: str
    """What sentences have that may follow: an offer, an advice to ask elsewhere, a reason."""
    content: str
    """What announces that the answer follows after all."""
    written: str
    """What a sentence has that asks to write, to translate or how to say something."""
    refusal: str
    """What names, in the same sentence, a refusal or an apology that is to be written: the right answer may decline."""


@cache
def wordings() -> tuple[Wordings, ...]:
    """Of every language that is known; in any other, no answer is judged by its words."""
    languages = tomllib.loads((Path(__file__).parent / "data" / "refusals.toml").read_text(encoding="utf-8"))
    return tuple(Wordings(**{name: "".join(parts) for name, parts in fields.items()}) for fields in languages.values())


@cache
def pattern(wording: str) -> re.Pattern[str]:
    """A wording, compiled when it is first looked for: all of them take a second."""
    return re.compile(wording, re.IGNORECASE)
