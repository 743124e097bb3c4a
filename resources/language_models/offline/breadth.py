"""Breadth: a sibling task of the same kind and domain about something rarer."""

from __future__ import annotations

import re

from resources.language_models.offline.clauses import append_sentence, held_clauses, missing_clauses
from resources.language_models.offline.domains import rare_phrase, recognise
from resources.language_models.offline.kinds import Reading, read, with_article
from resources.language_models.offline.lexicon import choose, draw, lexicon

MAX_CARRIED = 2
"""How many aspects a sibling takes over, so that it is about as hard and long as the text it comes from."""

_NUMBER = re.compile(r"\b(two|three|four|five|six|seven|eight|nine|ten|twelve|[3-9]|1[0-5])\b", re.IGNORECASE)


def sibling(reading: Reading, replica: int) -> tuple[str, str] | None:
    """A rarer task of the same kind; None when the domain is not recognised or its rarer topics are reached."""
    if rare_phrase(reading.text):
        return None
    found = _ready_made(reading, replica) or _framed(reading, replica)
    if found is None:
        return None
    text, material = found
    return _as_hard_as(reading, text, material, replica), material


def _ready_made(reading: Reading, replica: int) -> tuple[str, str] | None:
    rows = lexicon().siblings.get(reading.kind, ())
    if not rows:
        return None
    row = rows[draw(len(rows), "sibling", reading.text, replica)]
    return row.text, row.input


def _framed(reading: Reading, replica: int) -> tuple[str, str] | None:
    shapes = lexicon().frames.get(reading.kind)
    name = recognise(reading.text, reading.input)
    if shapes is None or name is None:
        return None
    topics = lexicon().domains[name].topics
    first = draw(len(topics), "topic", reading.text, replica)
    frame = choose(shapes.get(reading.shape, shapes["any"]), "frame", reading.text, replica)
    number = _NUMBER.search(reading.text)
    text = frame.format(
        t=topics[first],
        u=topics[(first + 1) % len(topics)],
        form=with_article(reading.form),
        n=number.group(1).lower() if number else "five",
    )
    return text, ""


def _as_hard_as(reading: Reading, text: str, material: str, replica: int) -> str:
    """`text` with as many of the aspects that `reading` holds, up to `MAX_CARRIED`."""
    carried = 0
    for operation in lexicon().clauses:
        for index in range(len(held_clauses(operation, reading))):
            missing = missing_clauses(operation, read(text, material))
            if carried == MAX_CARRIED or not missing:
                break
            text = append_sentence(text, choose(missing[index % len(missing)].texts, "carried", text, replica))
            carried += 1
    return text
