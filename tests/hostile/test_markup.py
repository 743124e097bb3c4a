"""Markdown, JSON-LD and XML that hold hostile texts: read by real parsers, nothing of theirs has any effect."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from junitparser import JUnitXml

from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.dataset.card import DataCard, render_card
from teams_dagster.dataset.croissant import ExportedFile, render_croissant
from teams_dagster.report.checks import CheckOutcome, Result, check_lines, checks_json, junit_xml
from tests.support.datasets import CARD
from tests.support.hostile import TEXTS, controls, texts
from tests.support.properties import example_count

ADDRESSES = re.compile(r"(https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+(?:\.[-\w]+)+", re.IGNORECASE)
"""What GitHub's Markdown links in plain text, after it has read character references."""

FILES = ("train.parquet", "held_out.parquet")


def plain(cell: str) -> list[str]:
    """The pieces of a cell that Markdown reads as text: between code, with character references resolved."""
    return [html.unescape(piece) for piece in cell.split("`")[::2]]


@given(texts)
def test_a_cell_of_the_ui_is_text_on_one_line(text: str) -> None:
    *_, row = lines = markdown_table(("text",), [(text,)]).split("\n")
    assert len(lines) == 3
    assert row.count("|") == 2
    assert not re.search(r"[<>\[\]*\\]", row)
    assert controls(row) == set()
    assert not any(ADDRESSES.search(piece) for piece in plain(row))


@given(texts)
def test_what_is_set_as_code_is_the_signs_of_addresses_alone(text: str) -> None:
    _, _, row = markdown_table(("text",), [(text,)]).split("\n")
    assert row.count("`") % 2 == 0
    assert set("".join(row.split("`")[1::2])) <= set(":/@.")


@given(texts)
def test_the_words_of_a_picture_do_not_end_it(text: str) -> None:
    image = as_markdown_image(b"png", text)
    assert image.count("](") == 1
    assert image.startswith("![")
    assert "\n" not in image


def spoilt(text: str) -> DataCard:
    """A card with `text` wherever people, files and models bring their own words."""
    return replace(
        CARD,
        name=text,
        licence_note=text,
        seed_files=((text, "ff" * 32),),
        seeds_refused={text: 3},
        dropped={text: 1},
        models={"expert": (text,)},
        evaluation_sets=(text,),
        limits=(text,),
    )


@settings(max_examples=example_count(50))
@given(texts)
def test_a_data_card_has_the_header_and_the_sections_it_would_have(text: str) -> None:
    told = render_card(spoilt(text), FILES)
    told.encode("utf-8")
    assert controls(told) == set()
    _, header, body = told.split("---\n", 2)
    assert yaml.safe_load(header)["license"] == CARD.licence
    sections = re.findall(r"^#+ .*", render_card(CARD, FILES).split("---\n", 2)[2], re.MULTILINE)[1:]
    assert [line for line in re.findall(r"^#+ .*", body, re.MULTILINE) if line.startswith("##")] == sections
    outside_code = re.sub(r"`[^`\n]*`", "", body)
    assert not re.search(r"<[a-z!/]", outside_code, re.IGNORECASE)
    assert not re.search(r"(?<!\\)\]\(", outside_code)
    assert outside_code.count("`") == outside_code.count("\\`")


@given(texts)
def test_croissant_is_ascii_json_that_gives_every_text_back(text: str) -> None:
    files = [ExportedFile(name, "ab" * 32, 10) for name in FILES]
    told = render_croissant(spoilt(text), files)
    assert told.isascii()
    assert controls(told) <= {"\x7f"}
    assert json.loads(told)["name"] == text


def outcome(text: str) -> CheckOutcome:
    return CheckOutcome("samples", "no_leaks", Result.FAILED, text, details=text)


@given(texts)
def test_junit_is_xml_with_one_case_and_its_text(text: str) -> None:
    (suite,) = JUnitXml.fromstring(junit_xml([outcome(text)], {Result.FAILED}).decode())
    (case,) = suite
    assert (case.classname, case.name) == ("samples", "no_leaks")
    assert controls(case.result[0].text or "") == set()


@given(texts)
def test_the_table_of_checks_is_one_line_a_check(text: str) -> None:
    lines = check_lines([outcome(text), outcome(text)])
    assert len(lines) == 3
    assert controls("".join(lines)) == set()
    assert "\n" not in "".join(lines)
    assert json.loads(checks_json([outcome(text)], "run"))["checks"][0]["finding"] == text


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_of_the_corpus_can_still_be_read_in_the_ui(name: str) -> None:
    """Inert, and not lost: its first word is there."""
    row = markdown_table(("text",), [(TEXTS[name],)]).split("\n")[2]
    word = max(re.findall(r"[A-Za-z]{3,}", TEXTS[name])[:3] or [""], key=len)
    assert word[:20] in html.unescape(row)
