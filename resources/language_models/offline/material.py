"""Reading the material of a task: fields, names and labels that really stand in it."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

MAX_VALUES = 6
"""How many values of a kind an answer lists."""

MAX_LABELS = 8

_NAME = re.compile(r"\b[A-Z][\w'’]+(?:\s+(?:of\s+|the\s+)?[A-Z][\w'’]+)*")
_DATE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}\s+(?:January|February|March|April|May|June|July|August|September|October|November"
    r"|December)(?:\s+\d{4})?\b|\b(?:January|February|March|April|May|June|July|August|September|October|November"
    r"|December)\s+\d{1,2}(?:,\s*\d{4})?\b|\b(?:1[5-9]|20)\d{2}\b"
)
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?%?")
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+\b")
_FIELD = re.compile(r"^\s*[-*]?\s*([A-Za-z][\w ]{0,24}):\s*(\S.*)$", re.MULTILINE)
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_QUOTED = re.compile(r"[\"“]([^\"”]{1,30})[\"”]")
_CHOICE = re.compile(
    r"\b(?:as|into|is|in|or|concerns|describes|reports|about|label|:)\s+"
    r"((?:[\w -]{2,30},\s+)*[\w-]+(?: [\w-]+){0,2},?\s+(?:or|and)\s+[\w-]+(?: [\w-]+){0,2})"
)
_BULLET = re.compile(r"^[-*•]\s+")
_BRACKETED = re.compile(r"[\[{]([^\[\]{}:]*,[^\[\]{}:]*)[\]}]")
_LETTERED = re.compile(r"\b[A-F]\)\s*([^,;.\n]{2,60})")
_YES_NO = re.compile(r"\b(if|whether|yes|no|is|are|does|do)\b", re.IGNORECASE)
_OPTION = re.compile(r"\s*,\s*(?:or|and)\s+|\s*,\s*|\s+or\s+|\s+and\s+")
_WEAK = frozenset("a an the in on of to for and or not no it is was be by at".split())
_CUES = {
    "positive": "good great excellent happy love enjoy best superb wonderful fine lucky thank thanks heavens nice",
    "negative": "bad broken late slow poor terrible angry nobody crash fatal worst hate wrong stale rude sorry crushed",
    "question": "what why how when where who could would can",
    "request": "please send bring help could",
    "spam": "free winner prize click offer urgent transfer payment",
    "money": "pay price euro euros cost charge charged charges invoice fee budget",
    "technical": "error crash app password login screen bug loads",
    "time": "late early week weeks days open closes hours",
}
_LABELS = {
    "positive": "positive praise happy satisfied yes true ethical relief support promise",
    "negative": "negative complaint angry unsatisfied anger toxic danger not",
    "question": "question riddle",
    "request": "request suggestion",
    "spam": "spam promotion",
    "money": "billing fees price",
    "technical": "technical repair",
    "time": "delivery opening routine",
}
_CUE_WORDS = {cue: frozenset(words.split()) for cue, words in _CUES.items()}
_LABEL_WORDS = {cue: frozenset(words.split()) for cue, words in _LABELS.items()}


def values(material: str) -> dict[str, list[str]]:
    """What the material holds by field or column: of JSON, tables, CSV and `key: value` lines; empty for prose."""
    for parse in (_json, _rows, _fields):
        if found := parse(material.strip()):
            return found
    return {}


def mentions(text: str, material: str) -> dict[str, list[str]]:
    """Dates, numbers, addresses and names in prose: those that `text` asks for, or else all that are found."""
    wanted = {
        "dates": (r"\b(date|dates|year|when)\b", _DATE),
        "numbers": (r"\b(number|numbers|price|amount|quantit\w+|how many|distance|distances|figure)\b", _NUMBER),
        "addresses": (r"\be-?mails?\b", _EMAIL),
        "names": (r"\b(name|names|people|person|place|places|country|countries|city|who|entities|vessel)\b", _NAME),
    }
    found = {label: list(dict.fromkeys(p.findall(material)))[:MAX_VALUES] for label, (_, p) in wanted.items()}
    asked = {label: hits for label, hits in found.items() if hits and re.search(wanted[label][0], text, re.IGNORECASE)}
    return asked or {label: hits for label, hits in found.items() if hits}


def labels(text: str, material: str) -> list[str]:
    """The answers a classification allows: lettered, quoted or listed in its text, or the entries of its material.

    A question that allows none of these is answered with yes or no, or with true or false where it says so.
    """
    for options in (_LETTERED.findall(text), _QUOTED.findall(text)):
        if len(options) >= 2:
            return [option.strip() for option in options[:MAX_LABELS]]
    if match := _CHOICE.search(text):
        options = [
            re.sub(r"^(a|an|the|being|about)\s+", "", part.strip(" .")) for part in _OPTION.split(match.group(1))
        ]
        options = [option for option in options if option]
        if 2 <= len(options) <= MAX_LABELS:
            return options
    if re.search(r"\b(true|false)\b", text, re.IGNORECASE):
        return ["true", "false"]
    listed = entries(material)
    return ["yes", "no"] if _YES_NO.search(text) or len(listed) < 3 else listed


def entries(material: str) -> list[str]:
    """The entries of a list in the material, one a line or between commas; empty where it is prose."""
    if bracketed := _BRACKETED.search(material):
        material = bracketed.group(1)
    lines = [_BULLET.sub("", line.strip()) for line in material.splitlines() if line.strip()]
    found = lines if len(lines) > 1 else [part.strip(" .[]{}") for part in re.split(r"[,;]", "".join(lines))]
    return found if len(found) > 1 and all(0 < len(entry.split()) <= 6 and ":" not in entry for entry in found) else []


def choose_label(options: list[str], material: str) -> tuple[str, list[str]]:
    """The option that most words of the material speak for, with those words; the last one where none does."""
    words = _WORD.findall(material.lower())
    best, evidence = options[-1], []
    for option in options:
        own = set(_WORD.findall(option.lower()))
        speaking = own.union(*(_CUE_WORDS[cue] for cue, names in _LABEL_WORDS.items() if own & names))
        hits = [word for word in dict.fromkeys(words) if word in speaking and word not in _WEAK]
        if len(hits) > len(evidence):
            best, evidence = option, hits
    return best, evidence[:3]


def _json(material: str) -> dict[str, list[str]]:
    if material[:1] not in ("{", "["):
        return {}
    try:
        data: Any = json.loads(material)
    except (ValueError, RecursionError):
        return {}
    while isinstance(data, dict) and len(data) == 1 and isinstance(next(iter(data.values())), list):
        data = next(iter(data.values()))
    records = data if isinstance(data, list) else [data]
    found: dict[str, list[str]] = {}
    for record in records:
        if isinstance(record, dict):
            for key, value in record.items():
                found.setdefault(str(key), []).append(str(value))
    return found


def _rows(material: str) -> dict[str, list[str]]:
    lines = [line.strip() for line in material.splitlines() if line.strip()]
    if len(lines) < 2:
        return {}
    if all(line.count("|") >= 2 for line in lines):
        table = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in lines if not set(line) <= set("|-: ")
        ]
    elif lines[0].count(",") >= 2 and ":" not in lines[0] and len({line.count(",") for line in lines}) == 1:
        table = list(csv.reader(io.StringIO("\n".join(lines))))
    else:
        return {}
    header, *rows = table
    return {
        name: [row[index] for row in rows if index < len(row)] for index, name in enumerate(header) if name and rows
    }


def _fields(material: str) -> dict[str, list[str]]:
    found = _FIELD.findall(material)
    return {key: [value.strip()] for key, value in found} if len(found) >= 2 else {}
