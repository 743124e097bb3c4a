"""Our rate at equal length beside AlpacaEval 2's, on its judge's published verdicts.

    python benchmarks/evaluation/length_control.py VERDICTS.csv

The file has one row a verdict: model, score (0 to 1), length and baseline_length (characters), and the model's
published_length_controlled rate (percent).
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from teams_dagster.evaluation.win_rate import length_controlled


def compare(path: Path) -> Iterator[tuple[str, float, float, float]]:
    """Each model of the file: its name, and as judged, published and ours, in percent."""
    verdicts: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    columns = ("score", "length", "baseline_length", "published_length_controlled")
    with path.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            verdicts[row["model"]].append(tuple(float(row[column]) for column in columns))
    for model, rows in verdicts.items():
        scores, lengths, others, published = np.array(rows).T
        (ours,) = length_controlled(scores, lengths - others, np.ones((1, len(rows))))
        yield model, 100 * float(scores.mean()), float(published[0]), 100 * float(ours)


def main() -> None:
    """Print the table as Markdown, and the mean and the largest difference."""
    found = list(compare(Path(sys.argv[1])))
    print("| model | as judged | published | ours |\n|---|---|---|---|")
    for model, judged, published, ours in found:
        print(f"| {model} | {judged:.1f} | {published:.1f} | {ours:.1f} |")
    off = [abs(ours - published) for _, _, published, ours in found]
    print(f"\nMean absolute difference {np.mean(off):.2f} points, largest {max(off):.1f}.")


if __name__ == "__main__":
    main()
