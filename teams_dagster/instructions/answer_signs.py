"""Whether signs alone answer: an operator, a pair of brackets, `∅`, an emoji; and not a full stop or a ruled line."""

from __future__ import annotations

import regex

_SIGN = regex.compile(r"[\p{S}--[\x00-\x7F\p{Sk}\p{Block=Box_Drawing}\p{Block=Block_Elements}\u2800]]", regex.V1)
"""What says something without a word, as `∞` and emoji do; lines and marks of layout do not."""

_LINE_MARKER = regex.compile(r"^[ \t]*(?:[>#]+|[-*+•])[ \t]+(?:\[[ xX]\]\s*)?(?=\S|$)", regex.MULTILINE)
"""What a line of Markdown begins with: a quotation, a heading, an item, a box to tick."""

_FENCE = regex.compile(r"^\s*```\w*\s*$", regex.MULTILINE)

_BOLD = regex.compile(r"(\*\*|__)(.+)\1")

_CODE = regex.compile(r"`[^`\s]{1,3}`|\$[^$\s]{1,3}\$|\"\"|''")
"""Signs that are shown as such, and the empty string of most programming languages."""

_QUOTED = regex.compile(r"[\"'“‘„«「](?!\.\.|…)[^\w\s\"'“”‘’„«»「」]{1,3}[\"'”’“»」]")

_ENDS_OF_SENTENCES = regex.compile(
    r"[(\[{<]?(?:\.{2,}|…)[)\]}>]?"
    r"|[.,?!…。！？、，·•–—⁂※\"'`“”‘’„«»「」\p{Block=Box_Drawing}\p{Block=Block_Elements}]+",
    regex.V1,
)

_OF_QUESTION_MARKS = frozenset(("!", "??", "?."))
"""Operators that marks of sentences make up."""

_VISIBLE = regex.compile(r"[^\p{C}\p{Z}\p{DI}\u2800]")

_RULE = regex.compile(r"([-*_#~|])\1{2,}|={4,}|[-+|:=*_#~]{4,}")
"""Lines across a page and the borders of tables; `===` is an operator too."""

_OPERATOR = regex.compile(r"[%/<>^&@$\\()\[\]{}+=]|\|\|")
"""What is no mark of layout, wherever it stands."""


def signs_answer(response: str) -> bool:
    """Whether an answer without a word that says something is one by its signs.

    A sign alone is (`#`, `->`), or several that are no marks of layout (`+, -, *, /`). Marks that end sentences are
    where they are quoted or set as code.
    """
    if _SIGN.search(response):
        return True
    found = _LINE_MARKER.sub("", _FENCE.sub("", response).strip()).split()
    tokens = [_BOLD.sub(r"\2", token) for token in found if _VISIBLE.search(token)]
    if len(tokens) == 1 and (tokens[0] in _OF_QUESTION_MARKS or not _lays_out(tokens[0])):
        return True
    return any(map(_is_shown, tokens)) or any(
        _OPERATOR.search(token) is not None and not _lays_out(token) and token != "===" for token in tokens
    )


def _is_shown(token: str) -> bool:
    bare = token.rstrip(".,;")
    return _CODE.fullmatch(bare) is not None or _QUOTED.fullmatch(bare) is not None


def _lays_out(token: str) -> bool:
    return _ENDS_OF_SENTENCES.fullmatch(token) is not None or _RULE.fullmatch(token) is not None
