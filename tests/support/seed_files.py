"""Seeds files of several kinds, each with enough seeds that differ to divide them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

TOPICS = (
    *("tides", "sourdough bread", "chess openings", "solar panels", "beehives", "compound interest", "migraine"),
    *("lighthouses", "pottery glazes", "jet engines", "sleep", "vaccines", "origami", "rainwater tanks", "opera"),
    *("earthquakes", "shift work", "bicycle gears", "wool", "coral reefs", "court juries", "espresso", "glaciers"),
)

TASKS = (
    "Explain {} to a child of ten in one short paragraph.",
    "Which three mistakes do beginners make with {}, and why?",
    "Write a cheerful radio jingle about {}.",
    "List tools that a workshop on {} would need.",
)

PASSAGES = (
    ("Summarise the passage.", "The {} committee met on Monday, argued about the budget until noon, and went home."),
    ("Who is responsible according to the note?", "Maria looks after {} on weekdays; at weekends it is Tom's turn."),
    ("Correct the spelling.", "Evry yeer meny peple lern abuot {} in the libary."),
)


def questions_without_input(path: Path) -> Path:
    """JSONL with a field `instruction`: {n} seeds."""
    rows = [{"instruction": task.format(topic)} for topic in TOPICS for task in TASKS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def passages_with_input(path: Path) -> Path:
    """CSV with the columns `instruction` and `input`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["instruction", "input"])
        writer.writerows(
            (f"{asked} It is about {topic}.", text.format(topic)) for topic in TOPICS for asked, text in PASSAGES
        )
    return path
