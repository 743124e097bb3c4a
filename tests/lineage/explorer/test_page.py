"""What the file holds: all of the samples' stories, the same bytes for the same data, no more than a browser can."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from teams_dagster.lineage.explorer import content
from teams_dagster.lineage.explorer.columns import ExplorerError, Texts
from teams_dagster.lineage.explorer.page import ExplorerFacts, write_explorer
from tests.lineage.explorer.example_store import ABOUT, FIRST_WEEK, Store, example, hostile, several, write_many


def written(folder: Path, store: Store, about: ExplorerFacts = ABOUT, **options: Any) -> str:
    """The page of a store."""
    model = store.write(folder / "teams.duckdb")
    write_explorer(model, folder / "explorer.html", about=about, **options)
    return (folder / "explorer.html").read_text("utf-8")


def unpacked(html: str) -> dict[str, dict[str, list[Any]]]:
    """The tables in a page, as its script unpacks them."""
    tables: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for block in re.findall(r"data-block>([^<]*)</script>", html):
        table, columns = json.loads(gzip.decompress(base64.b64decode(block)))
        for name, values in columns.items():
            tables[table][name] += values
    return tables


def test_every_sample_is_in_the_page_whether_accepted_or_not(tmp_path: Path) -> None:
    tables = unpacked(written(tmp_path, example()))
    assert tables["samples"]["sample_id"] == ["rivers-1", "rivers-2", "table-1"]
    assert tables["samples"]["accepted"] == [1, 1, 0]


def test_a_chain_goes_from_the_edit_of_the_seed_to_the_edit_that_made_the_sample(tmp_path: Path) -> None:
    tables = unpacked(written(tmp_path, example()))
    made = tables["transitions"]["transition_id"]
    hops = zip(tables["hops"]["sample"], tables["hops"]["transition_id"], strict=True)
    assert [(sample, made[transition]) for sample, transition in hops] == [
        (0, "e1.0"),
        (1, "e1.0"),
        (1, "e1.2"),
        (2, "e2.0"),
    ]


def test_refused_edits_of_the_episodes_are_in_the_page(tmp_path: Path) -> None:
    tables = unpacked(written(tmp_path, example()))
    assert tables["transitions"]["transition_id"] == ["e1.0", "e1.1", "e1.2", "e2.0", "e2.1"]


def test_every_answer_that_a_chain_used_is_in_the_page(tmp_path: Path) -> None:
    tables = unpacked(written(tmp_path, example()))
    first = [row for row, made in enumerate(tables["questions"]["transition_id"]) if made == 0]
    kinds = [tables["names"]["all"][tables["questions"]["kind"][row]] for row in first]
    assert kinds == ["rewrite", "review", "respond"]
    assert [tables["questions"]["reused"][row] for row in first] == [0, 1, 0]


def test_a_verdict_in_both_orders_has_its_probability_and_both_reviews_in_the_page(tmp_path: Path) -> None:
    store = example()
    first = store.rows["transitions"][0]
    first |= {"verdict_probability": 0.75, "orders_agree": False, "turned_review_request_id": "turned e1.0"}
    tables = unpacked(written(tmp_path, store))
    transitions, names = tables["transitions"], tables["names"]["all"]
    assert transitions["verdict_probability"][:2] == [0.75, None]
    assert transitions["orders_agree"][:2] == [0, None]
    questions = zip(tables["questions"]["transition_id"], tables["questions"]["kind"], strict=True)
    assert [names[kind] for made, kind in questions if made == 0][2] == "review, texts turned"


def test_a_text_is_held_once(tmp_path: Path) -> None:
    texts = unpacked(written(tmp_path, example()))["texts"]["all"]
    assert "Name three rivers of Asia." in texts
    assert len(texts) == len(set(texts))


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        store = example()
        if name == "two":
            for rows in store.rows.values():
                rows.reverse()
        pages.append(written(tmp_path / name, store))
    assert pages[0] == pages[1]


def test_a_page_of_chosen_samples_holds_their_stories_alone(tmp_path: Path) -> None:
    tables = unpacked(written(tmp_path, example(), sample_ids=["table-1"]))
    assert tables["samples"]["sample_id"] == ["table-1"]
    assert tables["seeds"]["seed_id"] == ["seed-table"]
    assert tables["transitions"]["transition_id"] == ["e2.0", "e2.1"]


def test_an_unknown_sample_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match="1 of 2 sample ids are not in table samples: 'nobody'"):
        written(tmp_path, example(), sample_ids=["rivers-1", "nobody"])


def test_too_many_samples_are_refused_with_generations_to_choose_from(tmp_path: Path) -> None:
    model = write_many(tmp_path / "teams.duckdb", samples=content.MOST_SAMPLES + 1)
    with pytest.raises(ExplorerError, match=f"at most 100,000: choose fewer.*{FIRST_WEEK} has 100,001"):
        write_explorer(model, tmp_path / "explorer.html", about=ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["teams.duckdb"]


def test_too_much_text_is_refused() -> None:
    texts = Texts(most_characters=10)
    texts.number("12345")
    texts.number("12345")
    with pytest.raises(ExplorerError, match=r"more than 10 characters.*choose fewer samples"):
        texts.number("678901")


def test_a_chain_with_a_hole_is_refused(tmp_path: Path) -> None:
    store = example()
    store.rows["sample_hops"][0]["transition_id"] = "lost"
    with pytest.raises(ExplorerError, match=r"hops\.transition_id names 'lost'"):
        written(tmp_path, store)
    assert not (tmp_path / "explorer.html").exists()


def test_a_failure_leaves_the_former_page(tmp_path: Path) -> None:
    before = written(tmp_path, example())
    with pytest.raises(ExplorerError):
        write_explorer(tmp_path / "teams.duckdb", tmp_path / "explorer.html", about=ABOUT, sample_ids=["nobody"])
    assert (tmp_path / "explorer.html").read_text("utf-8") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["explorer.html", "teams.duckdb"]


def test_the_read_model_is_only_read(tmp_path: Path) -> None:
    model = example().write(tmp_path / "teams.duckdb")
    before = model.read_bytes()
    with duckdb.connect(model, read_only=True):
        write_explorer(model, tmp_path / "explorer.html", about=ABOUT)
    assert model.read_bytes() == before


def test_of_several_answers_the_chosen_one_is_shown_and_all_are_behind_it(tmp_path: Path) -> None:
    tables = unpacked(written(tmp_path, several()))
    names, texts = tables["names"]["all"], tables["texts"]["all"]
    assert texts[tables["samples"]["response"][0]] == "Ob, Lena, Amur"
    of_first = [row for row, made in enumerate(tables["questions"]["transition_id"]) if made == 0]
    kinds = [(names[tables["questions"]["kind"][row]], tables["questions"]["request_id"][row]) for row in of_first]
    assert kinds[2:] == [
        ("respond", "respond again e1.0"),
        ("respond, not chosen", "respond e1.0"),
        ("rate", "rate 0 e1.0"),
        ("rate", "rate 1 e1.0"),
    ]


def test_what_was_verified_is_said_and_what_that_does_not_cover(tmp_path: Path) -> None:
    page = written(tmp_path, example())
    assert "1,234 rows verified" in page
    assert "5 not: no answer at the time (5)" in page
    assert "sealed 2026-11-25 11:04 UTC" in page
    assert ABOUT.chain_head is not None
    assert ABOUT.chain_head in page
    assert "rewrites the data and Dagster's event log together is out of scope" in page


def test_what_was_never_verified_or_sealed_says_so(tmp_path: Path) -> None:
    about = replace(ABOUT, rows_verified=0, rows_not_verified={}, chain_head=None, sealed_at=None)
    page = written(tmp_path, example(), about)
    assert "No row verified" in page
    assert "not sealed" in page


def test_a_read_model_without_samples_gives_a_page(tmp_path: Path) -> None:
    assert unpacked(written(tmp_path, Store()))["samples"]["sample_id"] == []


def test_no_text_of_the_data_stands_in_the_page_as_it_is(tmp_path: Path) -> None:
    about = replace(ABOUT, data_folder="<b>\u202e\ud800</b>", rows_not_verified={"<script>": 1})
    page = written(tmp_path, hostile(), about)
    assert "alert(1)" not in page
    assert page.count("<script>") == 1  # the page's own
    assert "&lt;b&gt;[U+202E][U+D800]&lt;/b&gt;" in page


def test_texts_are_made_visible_before_they_are_packed(tmp_path: Path) -> None:
    texts = "".join(unpacked(written(tmp_path, hostile()))["texts"]["all"])
    assert "[U+001B][31mred" in texts
    assert "[U+202E]evil[U+202C]" in texts
    assert {"\x1b", "\u202e", "\u200b", "\x00", "\x07"}.isdisjoint(texts)
