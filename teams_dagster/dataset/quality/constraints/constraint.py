"""What an instruction asks of the form of its answer, where a program can tell whether the answer has it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is counted or looked for in an answer."""

    WORDS = "words"
    SENTENCES = "sentences"
    PARAGRAPHS = "paragraphs"
    LINES = "lines"
    CHARACTERS = "characters"
    BULLETS = "bullets"
    NUMBERED = "numbered"
    """Numbered items or steps."""
    PLACEHOLDERS = "placeholders"
    """Texts in square brackets."""
    HIGHLIGHTS = "highlights"
    """Texts between asterisks."""
    JSON = "json"
    TABLE = "table"
    CODE_BLOCK = "code_block"
    INCLUDES = "includes"
    EXCLUDES = "excludes"
    TIMES = "times"
    """How often one word is said."""
    UPPERCASE = "uppercase"
    LOWERCASE = "lowercase"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    NO_COMMAS = "no_commas"
    NO_DIGITS = "no_digits"
    QUOTED = "quoted"
    """All of it in double quotation marks."""
    TITLE = "title"
    """A title in double angle brackets."""
    POSTSCRIPT = "postscript"
    YES_OR_NO = "yes_or_no"
    SCRIPT = "script"
    """The script of a language that is not written in Latin letters."""


@dataclass(frozen=True)
class Constraint:
    """One constraint on an answer."""

    kind: Kind
    said: str
    """The words of the instruction that ask for it."""
    least: int = 0
    """The smallest count that keeps it; of kinds that count."""
    most: int | None = None
    """The largest one; None: any."""
    texts: tuple[str, ...] = ()
    """The words, beginning, end or name of a script that are asked for or forbidden."""

    def allows(self, fewest: int, largest: int | None = None) -> bool:
        """Whether a count keeps it. Two counts are two ways of counting: any number between them may be meant."""
        largest = fewest if largest is None else largest
        return largest >= self.least and (self.most is None or fewest <= self.most)
