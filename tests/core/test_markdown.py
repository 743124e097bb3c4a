from __future__ import annotations

import base64
import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.markdown import LONGEST_CELL, as_markdown_image, markdown_table
from tests.report.example_report import HOSTILE


def test_a_table_has_a_header_a_rule_and_a_line_a_row() -> None:
    assert markdown_table(("operation", "chosen"), [("breadth", 3), ("deepening", 1.5)]) == (
        "| operation | chosen |\n| --- | --- |\n| breadth | 3 |\n| deepening | 1.5 |"
    )


@given(st.text())
def test_a_cell_stays_in_its_cell_and_holds_no_mark_up(text: str) -> None:
    lines = markdown_table(("text",), [(text,)]).split("\n")
    assert len(lines) == 3
    assert lines[2].count("|") == 2
    assert not re.search(r"[<>\[\]*]", lines[2])


def test_a_cell_shows_every_sign_as_it_was() -> None:
    text = 'it\'s "5 < 6" & <b>bold</b> #1 `code` &#39; 50% a_b \\n'
    assert html.unescape(markdown_table(("text",), [(text,)]).split("\n")[2]) == f"| {text} |"


def test_an_address_is_no_link() -> None:
    """Dagster's UI links addresses in text once character references are read; inside code it does not look."""
    line = markdown_table(("text",), [("http://a.b www.a.b me@a.b",)]).split("\n")[2]
    assert line == "| http`://`a.b www`.`a.b me`@`a.b |"


def test_hostile_text_is_inert_and_cut() -> None:
    line = markdown_table(("text",), [(HOSTILE,)]).split("\n")[2]
    assert "<" not in line
    assert "![" not in line
    assert len(line) < 6 * LONGEST_CELL
    line.encode("utf-8")


def test_a_row_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells in a table of 2 columns"):
        markdown_table(("a", "b"), [("only",)])


def test_an_image_travels_in_its_address() -> None:
    image = as_markdown_image(b"\x89PNG", "a ] picture")
    assert image == f"![a &#93; picture](data:image/png;base64,{base64.b64encode(bytes.fromhex('89504e47')).decode()})"
