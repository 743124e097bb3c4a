"""The documentation says of each form of seed file what becomes of it, in the words that people then read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.instructions.seed_forms import FORMS, outcome, table

PAGE = Path(__file__).parents[2] / "docs" / "seed-files.md"


def test_the_page_has_a_line_for_every_form_with_what_becomes_of_it(tmp_path: Path) -> None:
    """`python -m tests.instructions.seed_forms` prints the lines."""
    page = PAGE.read_text(encoding="utf-8")
    assert page.endswith("| --- | --- | --- |\n" + table(tmp_path) + "\n")


@pytest.mark.parametrize(("what", "name", "content"), FORMS, ids=[what for what, _, _ in FORMS])
def test_each_form_is_read_or_refused_in_a_sentence(
    tmp_path: Path, what: str, name: str, content: str | bytes | None
) -> None:
    """Anything else would be a traceback."""
    assert outcome(tmp_path, name, content).startswith(("read: ", f"refused: {name}: ", "refused: The file "))
