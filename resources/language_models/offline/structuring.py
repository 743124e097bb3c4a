"""Complicate input: material as JSON, CSV, a table or a log, where the task works on material."""

from __future__ import annotations

import json
import re

from resources.language_models.offline.clauses import append_sentence
from resources.language_models.offline.domains import recognise
from resources.language_models.offline.kinds import Kind, Reading
from resources.language_models.offline.lexicon import choose, draw, lexicon

MAX_INPUT_CHARACTERS = 1500
"""Longer material is left as it is."""

_CODE_LIKE = re.compile(r"^\s*(def |class |import |#!|function |const |SELECT |=IF)|[{};]\s*$|</\w+>", re.MULTILINE)
_FIELD = re.compile(r"^\s*[-*]?\s*([A-Za-z][\w ]{0,24}):\s+(\S.*)$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_BULLET = re.compile(r"^[-*•]\s+")
_MEASURE = re.compile(r"(?<![\w.])(\d[\d,]*(?:\.\d+)?)\s*(%|[A-Za-z]+)?")
_DOCUMENTS = frozenset(
    "email e-mail letter report review article description message note announcement advertisement speech newsletter"
    " essay".split()
) | {"cover letter", "product description", "press release", "social media post", "blog post"}
_TABLE_KINDS = frozenset({Kind.LIST, Kind.PLAN, Kind.CODE})
_ON_RECORDS = (
    "The material is now a JSON list of records: treat the field 'text' of each one, and report by id.",
    "Work through the JSON records in the input one after the other, and name the id in each result.",
)
_ON_MESSAGE = (
    "The material now comes as a JSON message: work on its body alone, and cite its id in the result.",
    "Read the body of the JSON message in the input, and say if its other fields change the result.",
)
_ON_FIELDS = (
    "The facts now come as one JSON object, so use every field and say if a value looks doubtful.",
    "Read the facts from the JSON object in the input, and do not skip any of its fields.",
)
_ON_ROWS = (
    "The entries now stand in a numbered table, so refer to each of them by its row number.",
    "Use the numbered table in the input, and give the row number with every result.",
)
_ON_FIGURES = (
    "Support it with the figures in the input, and refer to at least two of its entries by name.",
    "Work the data in the input into it, and draw one conclusion from comparing two of its entries.",
)
_ON_TEST_DATA = (
    "Use the records in the input as test data, and state the result that the code must give for them.",
    "It must run on the records in the input, and you must show what it returns for two of them.",
)
_ON_CASES = (
    "Solve it for every row of the table in the input, where each row replaces the figures of the text.",
    "Repeat the calculation for each row of the input, and say which row gives the largest result.",
)


def is_structured(material: str) -> bool:
    """Whether `material` is data or code already: JSON, a table, CSV or a program."""
    stripped = material.strip()
    if not stripped:
        return False
    lines = stripped.splitlines()
    if stripped[0] in "[{<" and stripped[-1] in "]}>":
        return True
    if sum(line.count("|") >= 2 for line in lines) >= 2 or _CODE_LIKE.search(stripped):
        return True
    commas = [line.count(",") for line in lines]
    return len(lines) >= 2 and commas[0] >= 2 and ":" not in lines[0] and len(set(commas)) == 1


def complicate(reading: Reading, replica: int) -> tuple[str, str] | None:
    """The (text, input) with structured material; None when the task works on none or it is structured already."""
    material = reading.input.strip()
    if material:
        if is_structured(material) or len(material) > MAX_INPUT_CHARACTERS:
            return None
        sentences, structured = _structure(material)
    elif reading.kind is Kind.ARITHMETIC:
        cases = _cases(reading.text)
        if cases is None:
            return None
        sentences, structured = _ON_CASES, cases
    else:
        works_on_data = reading.kind in _TABLE_KINDS or reading.form in _DOCUMENTS
        domain = recognise(reading.text, "") if works_on_data else None
        if domain is None:
            return None
        layout = draw(3, "layout", reading.text, replica)
        structured = _render(lexicon().domains[domain].table, layout)
        sentences = _ON_TEST_DATA if reading.kind is Kind.CODE else _ON_FIGURES
    return append_sentence(reading.text, choose(sentences, "material", reading.text, replica)), structured


def _structure(material: str) -> tuple[tuple[str, ...], str]:
    lines = [line.strip() for line in material.splitlines() if line.strip()]
    fields = [(match[1], match[2]) for line in lines if (match := _FIELD.match(line))]
    if len(fields) >= 2 and len(fields) == len(lines) and len({key for key, _ in fields}) == len(fields):
        return _ON_FIELDS, json.dumps(dict(fields), ensure_ascii=False, indent=1)
    entries = lines if len(lines) > 1 else [part.strip() for part in re.split(r"[,;]", lines[0])]
    if len(entries) > 2 and all(0 < len(entry.split()) <= 6 for entry in entries):
        rows = [[str(number), _BULLET.sub("", entry).replace("|", "/")] for number, entry in enumerate(entries, 1)]
        return _ON_ROWS, _table([["row", "entry"], *rows])
    parts = lines if len(lines) > 1 else _SENTENCE_END.split(lines[0])
    if len(parts) == 1:
        message = {"id": f"m-{100 + draw(900, material)}", "channel": "letter", "read": False, "body": parts[0]}
        return _ON_MESSAGE, json.dumps(message, ensure_ascii=False, indent=1)
    records = [json.dumps({"id": number, "text": part}, ensure_ascii=False) for number, part in enumerate(parts, 1)]
    return _ON_RECORDS, "[" + ",\n ".join(records) + "]"


def _cases(text: str) -> str | None:
    """A table whose first row holds the figures of `text` and the others multiples of them."""
    measures = _MEASURE.findall(text)[:4]
    if len(measures) < 2:
        return None
    header = [
        "case",
        *(f"{chr(97 + index)} ({unit})" if unit else chr(97 + index) for index, (_, unit) in enumerate(measures)),
    ]
    rows = []
    for case, factor in enumerate((1, 2, 5), 1):
        values = [float(number.replace(",", "")) * factor for number, _ in measures]
        rows.append([str(case), *(f"{value:g}" for value in values)])
    return _table([header, *rows])


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def _render(table: tuple[tuple[str, ...], ...], layout: int) -> str:
    header, *rows = table
    if layout == 0:
        return "\n".join(",".join(row) for row in table)
    if layout == 1:
        return _table([list(row) for row in table])
    return "[" + ",\n ".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows) + "]"
