"""The data that the rules work with, read once from the TOML files beside this module."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from resources.language_models.offline.kinds import Kind
from teams_dagster.core.operations import Operation


@dataclass(frozen=True)
class Clause:
    """One aspect that a text can be given: its sentences, and the pattern that finds it in a lower-case text."""

    aspect: str
    kinds: frozenset[Kind]
    marker: re.Pattern[str]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class GeneralTerm:
    """A general noun or pronoun and the specific phrases that can replace it."""

    singular: tuple[str, ...]
    plural: tuple[str, ...]
    mass: bool
    pronoun: bool


@dataclass(frozen=True)
class Domain:
    """A field of life: rarer topics in it, concrete cases and a table of material."""

    name: str
    topics: tuple[str, ...]
    cases: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    """Header first."""


@dataclass(frozen=True)
class Sibling:
    """A ready-made task; `about` is the phrase by which it is known again."""

    about: str
    text: str
    input: str


@dataclass(frozen=True)
class Lexicon:
    """Everything the rules look up."""

    clauses: dict[Operation, tuple[Clause, ...]]
    limits: dict[Operation, dict[Kind, int]]
    """How many aspects of an operation a text of a kind can hold."""
    terms: dict[str, tuple[GeneralTerm, bool]]
    """By surface form; True where the form is the plural."""
    specific: tuple[str, ...]
    """Every phrase that can replace a general term."""
    domains: dict[str, Domain]
    domain_words: dict[str, tuple[str, ...]]
    """Word or two-word phrase to the domains it speaks for."""
    siblings: dict[Kind, tuple[Sibling, ...]]
    frames: dict[Kind, dict[str, tuple[str, ...]]]
    rare: dict[str, str | None]
    """Every rarer topic and sibling phrase in lower case, with the domain of a topic."""


def read_data(name: str) -> dict[str, Any]:
    """A data file of this package, parsed."""
    return tomllib.loads((files("resources.language_models.offline") / "data" / name).read_text("utf-8"))


def _forms(words: str) -> list[str]:
    """The words of a `a|b|cs?` list, with and without the optional last letter."""
    forms: list[str] = []
    for word in words.split("|"):
        forms += [word[:-2], word[:-1]] if word.endswith("?") else [word]
    return forms


def _clauses(data: dict[str, Any], operation: Operation) -> tuple[Clause, ...]:
    return tuple(
        Clause(
            row["aspect"],
            frozenset(Kind(kind) for kind in row["kinds"]),
            re.compile(row["marker"]),
            tuple(row["texts"]),
        )
        for row in data[operation.value]
    )


def _terms(data: dict[str, Any]) -> dict[str, tuple[GeneralTerm, bool]]:
    terms: dict[str, tuple[GeneralTerm, bool]] = {}
    for word, row in data.items():
        term = GeneralTerm(tuple(row["one"]), tuple(row["many"]), row.get("mass", False), row.get("pronoun", False))
        terms[word] = (term, term.mass)
        if row["plural"]:
            terms[row["plural"]] = (term, True)
    return terms


@cache
def lexicon() -> Lexicon:
    """The lexicon, read on first use."""
    clause_data, domain_data = read_data("clauses.toml"), read_data("domains.toml")
    operations = [Operation(name) for name in clause_data["limits"]]
    domains = {
        name: Domain(
            name,
            tuple(row["topics"]),
            tuple(row["cases"]),
            tuple(tuple(line.split(",")) for line in row["table"].splitlines()),
        )
        for name, row in domain_data.items()
    }
    domain_words: dict[str, tuple[str, ...]] = {}
    for name, row in domain_data.items():
        for word in _forms(row["words"]):
            domain_words[word] = (*domain_words.get(word, ()), name)
    siblings = {
        Kind(kind): tuple(Sibling(row["about"], row["text"], row.get("input", "")) for row in rows)
        for kind, rows in read_data("siblings.toml").items()
    }
    frames = {
        Kind(kind): {shape: tuple(texts) for shape, texts in shapes.items()}
        for kind, shapes in read_data("frames.toml").items()
    }
    rare: dict[str, str | None] = {sibling.about: None for rows in siblings.values() for sibling in rows}
    rare |= {topic.lower(): domain.name for domain in domains.values() for topic in domain.topics}
    terms = _terms(read_data("general_terms.toml"))
    return Lexicon(
        clauses={operation: _clauses(clause_data, operation) for operation in operations},
        limits={
            operation: {Kind(kind): limit for kind, limit in clause_data["limits"][operation.value].items()}
            for operation in operations
        },
        terms=terms,
        specific=tuple(sorted({phrase for term, _ in terms.values() for phrase in (*term.singular, *term.plural)})),
        domains=domains,
        domain_words=domain_words,
        siblings=siblings,
        frames=frames,
        rare=rare,
    )


def choose(options: tuple[str, ...], *key: str | int) -> str:
    """One of `options` by a keyed hash: the same key chooses the same one."""
    return options[draw(len(options), *key)]


def draw(size: int, *key: str | int) -> int:
    """A number below `size` that belongs to `key`."""
    encoded = "\x1f".join(str(part) for part in key).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=6).digest(), "big") % size
