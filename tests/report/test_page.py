from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from teams_dagster.report.content import Report
from teams_dagster.report.page import MOST_CHAINS, MOST_ROWS, render_report
from tests.report.example_report import CHAIN, EXAMPLE, HOSTILE, hostile

SECTIONS = ["about", "policy", "dataset", "samples", "models", "privacy", "costs"]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The elements and texts of a page; open elements are counted, so a broken nesting shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def shape(self) -> list[tuple[str, frozenset[str]]]:
        """Tags with the names of their attributes."""
        return [(tag, frozenset(attributes)) for tag, attributes in self.elements]


@pytest.fixture(scope="module")
def example() -> str:
    return render_report(EXAMPLE)


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return render_report(hostile(EXAMPLE))  # type: ignore[arg-type]


def test_the_page_has_every_section_in_order_and_closes_what_it_opens(example: str) -> None:
    page = Page(example)
    assert [attributes["id"] for attributes in page.of("section")] == SECTIONS
    assert page.open == []


def test_every_picture_is_in_the_page_with_words_for_it(example: str) -> None:
    images = Page(example).of("img")
    assert len(images) == 10
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in images)
    assert all(len(image["alt"] or "") > 20 for image in images)


def test_the_headline_tells_samples_questions_calls_cost_and_the_policys_gain(example: str) -> None:
    text = Page(example).text
    for figure in (
        "701 samples kept",
        "36,911 questions asked",
        "2,363 paid calls",
        "at least $0.8124 cost",
        "0.381 accepted per query, trained 95%: 0.364 to 0.398",
        "0.302 accepted per query, uniform 95%: 0.282 to 0.322",
    ):
        assert figure in text


def test_limits_cautions_versions_models_and_the_baseline_are_told(example: str) -> None:
    text = Page(example).text
    for words in (
        "proof that the line works",
        "trained with another kind of model than it generates with",
        "7b52009b64fd0a2a",
        "5d41402abc4b2a76",
        "gpt-5.2-mini-2026-01-01",
        "2026-01-05, 2026-01-12",
        "TeaMs-RL, as its paper counts 17,878 35,756 2.00 35,756 5.73%",
        "returned 188, malformed reply 61",
    ):
        assert words in text


def test_a_sample_is_shown_from_seed_to_answer(example: str) -> None:
    text = Page(example).text
    steps = [
        CHAIN.seed.text,
        "add constraints",
        "breadth",
        "not accepted (malformed reply)",
        "complicate input",
        "answer",
    ]
    places = [text.index(step, text.index("A few samples")) for step in steps]
    assert places == sorted(places)


@pytest.mark.parametrize("report", ["example", "hostile_page"])
def test_nothing_is_loaded_from_anywhere_and_no_script_can_run(report: str, request: pytest.FixtureRequest) -> None:
    page = Page(request.getfixturevalue(report))
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "iframe", "object", "embed", "link", "base", "form", "svg"})
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
    (policy,) = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_hostile_text_adds_no_element_and_no_attribute(example: str, hostile_page: str) -> None:
    ours = set(Page(example).shape())
    page = Page(hostile_page)
    assert set(page.shape()) <= ours
    assert page.open == []
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_hostile_characters_are_named_and_the_page_is_utf8(hostile_page: str) -> None:
    hostile_page.encode("utf-8")
    assert not any(character in hostile_page for character in "\u202e\u2066\x1b\x00\ufeff")
    assert "[U+202E]txt.exe[U+2066] [U+001B][31m [U+0000] [U+D800]" in Page(hostile_page).text


def test_an_empty_project_has_a_report_that_says_what_to_do() -> None:
    page = Page(render_report(Report()))
    assert [attributes["id"] for attributes in page.of("section")] == SECTIONS
    assert page.of("img") == []
    for asset in ("trained_policy", "policy_comparison", "instruction_dataset", "evaluation_scores", "query_costs"):
        assert f"materialise {asset}" in page.text


def test_the_page_is_bounded_however_much_there_is_to_show() -> None:
    huge = replace(CHAIN, response="x " * 1_000_000)
    scores = EXAMPLE.policy.scores * 500
    report = replace(
        EXAMPLE,
        policy=replace(EXAMPLE.policy, scores=tuple(s for s in scores if s.metric == "accepted_per_episode")),
        dataset=replace(EXAMPLE.dataset, chains=(huge,) * 1_000),
        account=replace(EXAMPLE.account, by_model=EXAMPLE.account.by_model * 1_000),
    )
    html = render_report(report)
    page = Page(html)
    assert len(html) < 1_500_000
    assert len(page.of("article")) == MOST_CHAINS
    assert len(page.of("tr")) < 10 * MOST_ROWS
    assert "1,960 more" in page.text


def test_a_realistic_page_is_small_and_always_the_same(example: str) -> None:
    assert len(example) < 700_000
    assert render_report(EXAMPLE) == example


def test_the_hostile_text_is_hostile() -> None:
    assert Page(HOSTILE.split("{{")[0]).of("script")
